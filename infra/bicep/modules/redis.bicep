// Azure Managed Redis: the hot path. It may be lost at any time, so it is neither persisted nor backed up.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Size. Without clusters of shards 25 GB is the most: one shard is what lets keys be renamed and scripts run.')
@allowed(['Balanced_B0', 'Balanced_B1', 'Balanced_B3', 'Balanced_B5', 'Balanced_B10', 'Balanced_B20', 'ComputeOptimized_X3', 'ComputeOptimized_X5', 'ComputeOptimized_X10'])
param skuName string

@description('A replica that takes over, in another zone where the region has several.')
@allowed(['Enabled', 'Disabled'])
param highAvailability string

@description('Object id of the Functions app\'s identity.')
param functionsPrincipalId string

@description('Object id of the relay\'s identity.')
param relayPrincipalId string

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone of Azure Managed Redis.')
param zoneId string

@description('Log Analytics workspace.')
param workspaceId string

resource cluster 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: '${prefix}-redis-${unique}'
  location: location
  tags: tags
  sku: {
    name: skuName
  }
  properties: {
    minimumTlsVersion: '1.2'
    highAvailability: highAvailability
    publicNetworkAccess: 'Disabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = {
  parent: cluster
  name: 'default'
  properties: {
    clientProtocol: 'Encrypted'
    port: 10000
    clusteringPolicy: 'NoCluster'
    evictionPolicy: 'NoEviction'
    accessKeysAuthentication: 'Disabled'
  }
}

resource functionsAccess 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: database
  name: 'functions'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: functionsPrincipalId
    }
  }
}

resource relayAccess 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: database
  name: 'relay'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: relayPrincipalId
    }
  }
  dependsOn: [
    functionsAccess
  ]
}

module endpoint 'private-endpoint.bicep' = {
  name: 'redis-endpoint'
  params: {
    name: '${prefix}-redis'
    location: location
    tags: tags
    subnetId: subnetId
    targetId: cluster.id
    groupId: 'redisEnterprise'
    zoneId: zoneId
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: cluster
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = cluster.id
output host string = cluster.properties.hostName
output port int = database.properties.port
