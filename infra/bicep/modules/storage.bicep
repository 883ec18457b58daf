// The Functions host's own storage: the deployed package and the timers' locks. No shared keys, no public address.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('How many copies, and where.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param skuName string

@description('Object id of the Functions app\'s identity.')
param functionsPrincipalId string

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone of blobs.')
param blobZoneId string

@description('Private DNS zone of tables.')
param tableZoneId string

var packages = 'packages'
var blobOwnerRole = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var tableContributorRole = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_36:no service of Azure has business in it but the app, which comes through the network
  // checkov:skip=CKV_AZURE_43:the name is made of lower-case letters and digits and cut to 24; the check reads no functions
  // checkov:skip=CKV_AZURE_206:what it holds is deployed again; storageSku chooses copies in several zones
  name: take(replace('${prefix}${unique}', '-', ''), 24)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: packages
  properties: {
    publicAccess: 'None'
  }
}

resource functionsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, functionsPrincipalId, blobOwnerRole)
  scope: account
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobOwnerRole)
  }
}

resource functionsTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, functionsPrincipalId, tableContributorRole)
  scope: account
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributorRole)
  }
}

module blobEndpoint 'private-endpoint.bicep' = {
  name: 'blob-endpoint'
  params: {
    name: '${prefix}-blob'
    location: location
    tags: tags
    subnetId: subnetId
    targetId: account.id
    groupId: 'blob'
    zoneId: blobZoneId
  }
}

module tableEndpoint 'private-endpoint.bicep' = {
  name: 'table-endpoint'
  params: {
    name: '${prefix}-table'
    location: location
    tags: tags
    subnetId: subnetId
    targetId: account.id
    groupId: 'table'
    zoneId: tableZoneId
  }
}

output name string = account.name
output packagesUrl string = '${account.properties.primaryEndpoints.blob}${packages}'
