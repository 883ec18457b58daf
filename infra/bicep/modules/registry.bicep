// The images that run here, copied from where they were released (az acr import), by digest. No admin login.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Premium alone has private endpoints, zones and retention; the others are reached over their public address with Entra tokens.')
@allowed(['Basic', 'Standard', 'Premium'])
param skuName string

@description('Object id of the relay\'s identity.')
param relayPrincipalId string

@description('Object id of the identity that prepares the database.')
param databasePrincipalId string

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone of registries.')
param zoneId string

var pullRole = '7f951dda-4ed3-4680-a7ca-43fe172d538d'
var private = skuName == 'Premium'

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  // checkov:skip=CKV_AZURE_163:images are scanned before they are released, not after they were copied here
  // checkov:skip=CKV_AZURE_139:closed with the Premium tier, which alone can be; pulling takes an Entra token in any case
  // checkov:skip=CKV_AZURE_164:content trust is being retired; releases are signed with cosign and named by digest
  // checkov:skip=CKV_AZURE_165:one region runs one control plane; another region has a registry of its own
  // checkov:skip=CKV_AZURE_166:quarantine needs a scanner that releases images; images are scanned before they are released
  // checkov:skip=CKV_AZURE_167:releases are named by digest and kept; a rollback needs the former ones
  // checkov:skip=CKV_AZURE_233:Premium registries are zone redundant by default where the region has zones
  // checkov:skip=CKV_AZURE_237:dedicated data endpoints matter to firewalls outside; images are pulled inside the network
  name: replace('${prefix}${unique}', '-', '')
  location: location
  tags: tags
  sku: {
    name: skuName
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkRuleBypassOptions: 'AzureServices'
  }
}

resource relayPulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, relayPrincipalId, pullRole)
  scope: registry
  properties: {
    principalId: relayPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', pullRole)
  }
}

resource databasePulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, databasePrincipalId, pullRole)
  scope: registry
  properties: {
    principalId: databasePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', pullRole)
  }
}

module endpoint 'private-endpoint.bicep' = if (private) {
  name: 'registry-endpoint'
  params: {
    name: '${prefix}-registry'
    location: location
    tags: tags
    subnetId: subnetId
    targetId: registry.id
    groupId: 'registry'
    zoneId: zoneId
  }
}

output name string = registry.name
output loginServer string = registry.properties.loginServer
