// Azure Database for PostgreSQL: the only durable truth. Entra tokens only; no password exists.
// Inside the network only: its subnet is delegated to it and it has no public address.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Major version of PostgreSQL.')
@allowed(['16', '17'])
param version string

@description('Compute size. Burstable ones have no PgBouncer and no high availability.')
param skuName string

@description('Tier of that size.')
@allowed(['GeneralPurpose', 'MemoryOptimized'])
param skuTier string

@description('Storage in GiB; it grows by itself and never shrinks.')
@minValue(32)
param storageGib int

@description('A standby that takes over: none, in the same zone, or in another zone.')
@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param highAvailability string

@description('Zone of the primary; empty lets Azure choose.')
@allowed(['', '1', '2', '3'])
param zone string

@description('Days within which any point in time can be restored.')
@minValue(7)
@maxValue(35)
param backupDays int

@description('Whether backups are also kept in the paired region; cannot be changed later.')
@allowed(['Enabled', 'Disabled'])
param geoRedundantBackup string

@description('Hour of the day (UTC, Sunday) from which Azure may restart it for updates.')
@minValue(0)
@maxValue(23)
param maintenanceHour int

@description('Delegated subnet.')
param subnetId string

@description('Private DNS zone that its name is in.')
param zoneId string

@description('Name of the identity that prepares the database.')
param administratorName string

@description('Object id of that identity.')
param administratorPrincipalId string

@description('Log Analytics workspace.')
param workspaceId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: '${prefix}-postgres-${unique}'
  location: location
  tags: tags
  sku: {
    name: skuName
    tier: skuTier
  }
  properties: {
    version: version
    availabilityZone: empty(zone) ? null : zone
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      storageSizeGB: storageGib
      autoGrow: 'Enabled'
    }
    highAvailability: {
      mode: highAvailability
    }
    backup: {
      backupRetentionDays: backupDays
      geoRedundantBackup: geoRedundantBackup
    }
    maintenanceWindow: {
      customWindow: 'Enabled'
      dayOfWeek: 0
      startHour: maintenanceHour
      startMinute: 0
    }
    network: {
      delegatedSubnetResourceId: subnetId
      privateDnsZoneArmResourceId: zoneId
    }
  }
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: administratorPrincipalId
  properties: {
    principalName: administratorName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
}

var parameters = [
  {
    name: 'pgbouncer.enabled'
    value: 'true'
  }
  {
    name: 'pgbouncer.pool_mode'
    value: 'transaction'
  }
  {
    name: 'pgbouncer.default_pool_size'
    value: '50'
  }
  {
    name: 'pgbouncer.max_client_conn'
    value: '5000'
  }
  {
    name: 'require_secure_transport'
    value: 'on'
  }
  {
    name: 'ssl_min_protocol_version'
    value: 'TLSv1.2'
  }
  {
    name: 'log_checkpoints'
    value: 'on'
  }
  {
    name: 'log_lock_waits'
    value: 'on'
  }
  {
    name: 'idle_in_transaction_session_timeout'
    value: '60000'
  }
]

// One at a time: the server refuses a second change while it carries one out.
@batchSize(1)
resource configuration 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = [for parameter in parameters: {
  parent: server
  name: parameter.name
  properties: {
    value: parameter.value
    source: 'user-override'
  }
  dependsOn: [
    administrator
  ]
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: server
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'PostgreSQLLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = server.id
output host string = server.properties.fullyQualifiedDomainName
