// One private endpoint, with its name in the private DNS zone of its kind.

@description('The endpoint\'s name.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Subnet that the endpoint takes its address from.')
param subnetId string

@description('Resource that is reached through it.')
param targetId string

@description('Part of the resource that is reached.')
@allowed(['vault', 'blob', 'table', 'redisEnterprise', 'registry'])
param groupId string

@description('Private DNS zone of that kind of resource.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: zoneId
        }
      }
    ]
  }
}
