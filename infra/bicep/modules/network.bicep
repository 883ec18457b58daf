// The virtual network, a subnet for each kind of tenant, and the private DNS zones of the services.
// What is in it is reached from outside by two doors only: the Functions app's HTTPS and the relay's TCP port.

@description('What every name of this deployment begins with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Address space of the network, /20 or larger.')
param addressPrefix string

var zoneNames = [
  'privatelink.vaultcore.azure.net'
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.redis.azure.net'
  'privatelink.azurecr.io'
  '${prefix}.private.postgres.database.azure.com'
]

resource closedGroup 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${prefix}-closed'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'from-network'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '*'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource relayGroup 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${prefix}-relay'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'agents'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '8443'
        }
      }
      {
        // Container Apps maps an external TCP port to this range on its own nodes.
        name: 'load-balancer'
        properties: {
          priority: 110
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'AzureLoadBalancer'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '30000-32767'
        }
      }
      {
        name: 'from-network'
        properties: {
          priority: 120
          direction: 'Inbound'
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '*'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: '${prefix}-network'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    subnets: [
      {
        name: 'relay'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 23, 0)
          networkSecurityGroup: {
            id: relayGroup.id
          }
          delegations: [
            {
              name: 'container-apps'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        // Flex Consumption shares the delegation of Container Apps, and takes no subnet that an environment uses.
        name: 'functions'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 2)
          networkSecurityGroup: {
            id: closedGroup.id
          }
          delegations: [
            {
              name: 'functions'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'postgres'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 3)
          networkSecurityGroup: {
            id: closedGroup.id
          }
          delegations: [
            {
              name: 'postgres'
              properties: {
                serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 4)
          networkSecurityGroup: {
            id: closedGroup.id
          }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zone in zoneNames: {
  name: zone
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zone, index) in zoneNames: {
  parent: zones[index]
  name: '${prefix}-network'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

output relaySubnetId string = '${network.id}/subnets/relay'
output functionsSubnetId string = '${network.id}/subnets/functions'
output postgresSubnetId string = '${network.id}/subnets/postgres'
output endpointsSubnetId string = '${network.id}/subnets/endpoints'
output vaultZoneId string = zones[0].id
output blobZoneId string = zones[1].id
output tableZoneId string = zones[2].id
output redisZoneId string = zones[3].id
output registryZoneId string = zones[4].id
output postgresZoneId string = zones[5].id
