// ArcBridge in one resource group: private, without passwords. Deploy with azd (docs/deploying.md), or with
// az deployment sub create --location REGION --template-file main.bicep --parameters env/prod.bicepparam

targetScope = 'subscription'

@description('Name of this deployment; begins every name in it.')
@minLength(3)
@maxLength(16)
param environmentName string

@description('Azure region: one with Flex Consumption, Azure Managed Redis and Container Apps.')
@allowed(['australiaeast', 'canadacentral', 'centralus', 'eastus', 'eastus2', 'francecentral', 'germanywestcentral', 'japaneast', 'northeurope', 'norwayeast', 'southeastasia', 'swedencentral', 'uksouth', 'westeurope', 'westus2', 'westus3'])
param location string

@description('Resource group; made if there is none.')
param resourceGroupName string = 'rg-${environmentName}'

@description('Tags of every resource.')
param tags object = {}

@description('Address space of the network, /20 or larger.')
param addressPrefix string = '10.40.0.0/16'

@description('Major version of PostgreSQL.')
@allowed(['16', '17'])
param postgresVersion string = '17'

@description('PostgreSQL\'s compute size.')
@allowed(['Standard_D2ds_v5', 'Standard_D4ds_v5', 'Standard_D8ds_v5', 'Standard_D16ds_v5', 'Standard_E4ds_v5', 'Standard_E8ds_v5', 'Standard_E16ds_v5'])
param postgresSku string = 'Standard_D2ds_v5'

@description('Tier of that size: D is general purpose, E is memory optimized.')
@allowed(['GeneralPurpose', 'MemoryOptimized'])
param postgresTier string = 'GeneralPurpose'

@description('PostgreSQL\'s storage in GiB.')
@minValue(32)
@maxValue(32767)
param postgresStorageGib int = 64

@description('PostgreSQL\'s standby.')
@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param postgresHighAvailability string = 'Disabled'

@description('Zone of PostgreSQL\'s primary; empty lets Azure choose.')
@allowed(['', '1', '2', '3'])
param postgresZone string = ''

@description('Days within which any point in time can be restored.')
@minValue(7)
@maxValue(35)
param postgresBackupDays int = 7

@description('Whether backups are also kept in the paired region; cannot be changed later.')
@allowed(['Enabled', 'Disabled'])
param postgresGeoBackup string = 'Disabled'

@description('Hour (UTC, Sunday) from which PostgreSQL may be restarted for updates.')
@minValue(0)
@maxValue(23)
param postgresMaintenanceHour int = 3

@description('Host of the PostgreSQL server that a restore made; empty for the one that is described here.')
param postgresRestoredHost string = ''

@description('Redis\'s size.')
@allowed(['Balanced_B0', 'Balanced_B1', 'Balanced_B3', 'Balanced_B5', 'Balanced_B10', 'Balanced_B20', 'ComputeOptimized_X3', 'ComputeOptimized_X5', 'ComputeOptimized_X10'])
param redisSku string = 'Balanced_B0'

@description('Redis\'s replica.')
@allowed(['Enabled', 'Disabled'])
param redisHighAvailability string = 'Disabled'

@description('Key Vault\'s tier: premium keeps the issuing key in a hardware security module.')
@allowed(['standard', 'premium'])
param keyVaultSku string = 'standard'

@description('Addresses (CIDR) that reach Key Vault from outside while the issuing key is certified; empty afterwards.')
param operatorAddresses array = []

@description('Object id of who deploys; may read the public half of the issuing key. Empty for nobody.')
param operatorPrincipalId string = ''

@description('Kind of that principal.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string = 'User'

@description('Copies of the Functions host\'s storage.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param storageSku string = 'Standard_LRS'

@description('Registry\'s tier: Premium is reached through the network only.')
@allowed(['Basic', 'Standard', 'Premium'])
param registrySku string = 'Basic'

@description('Whether instances and replicas are spread over zones; cannot be changed later.')
param zoneRedundant bool = false

@description('Memory of a Functions instance in MB.')
@allowed([512, 2048, 4096])
param functionsMemoryMb int = 2048

@description('Most Functions instances at one time.')
@minValue(40)
@maxValue(1000)
param functionsMaximumInstances int = 100

@description('Calls that one Functions instance takes at one time.')
@minValue(1)
@maxValue(1000)
param functionsPerInstanceConcurrency int = 32

@description('Functions instances for HTTP that are kept warm; 0 costs nothing while idle.')
@minValue(0)
@maxValue(100)
param functionsAlwaysReady int = 0

@description('The relay\'s image in this deployment\'s registry, by digest; empty until the database is ready for it: no relay then.')
param relayImage string = ''

@description('The image that prepares the database, by digest: the relay\'s, a provision before relays run it.')
param databaseImage string = relayImage

@description('The agent\'s image, by digest, as clusters pull it.')
param agentImage string

@description('Fewest relays.')
@minValue(2)
@maxValue(100)
param relayMinReplicas int = 2

@description('Most relays.')
@minValue(2)
@maxValue(1000)
param relayMaxReplicas int = 10

@description('Connections per relay at which another is started.')
@minValue(100)
@maxValue(12000)
param relayConnectionsPerReplica int = 5000

@description('Cores of a relay.')
@allowed(['0.5', '1.0', '2.0'])
param relayCpu string = '0.5'

@description('Memory of a relay.')
@allowed(['1Gi', '2Gi', '4Gi'])
param relayMemory string = '1Gi'

@description('The relay\'s public name, if it has one of its own; its address is the environment\'s.')
param relayHostName string = ''

@description('The control plane\'s public URL, if it has one of its own.')
param controlPlaneUrl string = ''

@description('Application id of ArcBridge in the directory (infra/hooks/entra_app.py).')
param oidcAudience string

@description('Directory ids, each with the ArcBridge tenant of its people.')
param oidcTenants object

@description('Directory groups, each with the role of its members.')
param oidcGroups object = {}

@description('SPIFFE trust domain of the agents\' certificates; cannot be changed while clusters are connected.')
param trustDomain string

@description('The issuing certificate and the root, PEM in base64 (infra/hooks/issuing_ca.py); empty until the key is certified.')
param caChain string = ''

@description('Hours that an agent\'s certificate lasts.')
@minValue(1)
@maxValue(720)
param certificateHours int = 168

@description('Seconds between heartbeats.')
@minValue(1)
@maxValue(3600)
param heartbeatSeconds int = 30

@description('Seconds between looks at the desired state without a wake-up.')
@minValue(1)
@maxValue(3600)
param pollSeconds int = 300

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most gigabytes of logs in a day; -1 for no limit.')
param logDailyQuotaGb int = -1

@description('E-mail address that alerts are sent to; empty for none.')
param alertEmail string = ''

@description('Where the runbooks are read.')
param runbookBase string

var prefix = toLower(environmentName)
var unique = take(uniqueString(subscription().id, environmentName, location), 8)
var everyTag = union(tags, { 'azd-env-name': environmentName, application: 'arcbridge' })
var databaseName = 'arcbridge'
var postgresHost = empty(postgresRestoredHost) ? postgres.outputs.host : postgresRestoredHost
var pgbouncerPort = 6432
var caChainPem = empty(caChain) ? '' : base64ToString(caChain)
var relayDefaultHost = '${prefix}-relay.${containerapps.outputs.defaultDomain}'
var relayHost = empty(relayHostName) ? relayDefaultHost : relayHostName

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: everyTag
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
  }
}

module network 'modules/network.bicep' = {
  name: 'network'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    addressPrefix: addressPrefix
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
    alertEmail: alertEmail
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    relayPrincipalId: identity.outputs.relayPrincipalId
  }
}

module postgres 'modules/postgres.bicep' = {
  name: 'postgres'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    version: postgresVersion
    skuName: postgresSku
    skuTier: postgresTier
    storageGib: postgresStorageGib
    highAvailability: postgresHighAvailability
    zone: postgresZone
    backupDays: postgresBackupDays
    geoRedundantBackup: postgresGeoBackup
    maintenanceHour: postgresMaintenanceHour
    subnetId: network.outputs.postgresSubnetId
    zoneId: network.outputs.postgresZoneId
    administratorName: identity.outputs.databaseName
    administratorPrincipalId: identity.outputs.databasePrincipalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module redis 'modules/redis.bicep' = {
  name: 'redis'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    skuName: redisSku
    highAvailability: redisHighAvailability
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    relayPrincipalId: identity.outputs.relayPrincipalId
    subnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.redisZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module keyvault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    skuName: keyVaultSku
    publicNetworkAccess: empty(operatorAddresses) ? 'Disabled' : 'Enabled'
    operatorAddresses: operatorAddresses
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    relayPrincipalId: identity.outputs.relayPrincipalId
    subnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.vaultZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    skuName: storageSku
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    subnetId: network.outputs.endpointsSubnetId
    blobZoneId: network.outputs.blobZoneId
    tableZoneId: network.outputs.tableZoneId
  }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    skuName: registrySku
    relayPrincipalId: identity.outputs.relayPrincipalId
    databasePrincipalId: identity.outputs.databasePrincipalId
    subnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.registryZoneId
  }
}

module containerapps 'modules/containerapps.bicep' = {
  name: 'containerapps'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    subnetId: network.outputs.relaySubnetId
    zoneRedundant: zoneRedundant
    workspaceId: monitoring.outputs.workspaceId
  }
}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  scope: group
  params: {
    prefix: prefix
    unique: unique
    location: location
    tags: everyTag
    subnetId: network.outputs.functionsSubnetId
    identityId: identity.outputs.functionsId
    identityName: identity.outputs.functionsName
    identityClientId: identity.outputs.functionsClientId
    identityPrincipalId: identity.outputs.functionsPrincipalId
    storageName: storage.outputs.name
    packagesUrl: storage.outputs.packagesUrl
    postgresHost: postgresHost
    postgresPort: pgbouncerPort
    databaseName: databaseName
    redisHost: redis.outputs.host
    redisPort: redis.outputs.port
    relayAddress: '${relayHost}:8443'
    controlPlaneUrl: controlPlaneUrl
    oidcIssuer: '${environment().authentication.loginEndpoint}{tid}/v2.0'
    oidcAudience: oidcAudience
    oidcTenants: oidcTenants
    oidcGroups: oidcGroups
    trustDomain: trustDomain
    caKeyId: keyvault.outputs.issuingKeyId
    caChain: caChainPem
    certificateHours: certificateHours
    heartbeatSeconds: heartbeatSeconds
    pollSeconds: pollSeconds
    agentImage: agentImage
    instanceMemoryMb: functionsMemoryMb
    maximumInstances: functionsMaximumInstances
    perInstanceConcurrency: functionsPerInstanceConcurrency
    alwaysReadyHttp: functionsAlwaysReady
    insightsConnectionString: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    zoneRedundant: zoneRedundant
  }
}

module databaseJob 'modules/database-job.bicep' = if (!empty(databaseImage)) {
  name: 'database-job'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    environmentId: containerapps.outputs.id
    image: databaseImage
    registryServer: registry.outputs.loginServer
    identityId: identity.outputs.databaseId
    identityName: identity.outputs.databaseName
    identityClientId: identity.outputs.databaseClientId
    postgresHost: postgresHost
    databaseName: databaseName
    logins: [
      '${identity.outputs.functionsName}=${identity.outputs.functionsPrincipalId}'
      '${identity.outputs.relayName}=${identity.outputs.relayPrincipalId}'
    ]
    tenants: map(items(oidcTenants), tenant => tenant.value)
  }
}

module relay 'modules/relay.bicep' = if (!empty(relayImage) && !empty(caChain)) {
  name: 'relay'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    environmentId: containerapps.outputs.id
    image: relayImage
    registryServer: registry.outputs.loginServer
    identityId: identity.outputs.relayId
    identityName: identity.outputs.relayName
    identityClientId: identity.outputs.relayClientId
    identityPrincipalId: identity.outputs.relayPrincipalId
    postgresHost: postgresHost
    postgresPort: pgbouncerPort
    databaseName: databaseName
    redisHost: redis.outputs.host
    redisPort: redis.outputs.port
    hostNames: empty(relayHostName) ? relayDefaultHost : '${relayHostName},${relayDefaultHost}'
    trustDomain: trustDomain
    caKeyId: keyvault.outputs.issuingKeyId
    caChain: caChainPem
    certificateHours: certificateHours
    heartbeatSeconds: heartbeatSeconds
    minReplicas: relayMinReplicas
    maxReplicas: relayMaxReplicas
    connectionsPerReplica: relayConnectionsPerReplica
    cpu: relayCpu
    memory: relayMemory
    insightsConnectionString: monitoring.outputs.connectionString
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    prefix: prefix
    location: location
    tags: everyTag
    runbookBase: runbookBase
    workspaceId: monitoring.outputs.workspaceId
    insightsId: monitoring.outputs.insightsId
    actionGroupId: monitoring.outputs.actionGroupId
    postgresId: postgres.outputs.id
    redisId: redis.outputs.id
    relayId: empty(relayImage) || empty(caChain) ? '' : relay.outputs.id
    controlPlaneUrl: functions.outputs.url
  }
}

output ARCBRIDGE_RESOURCE_GROUP string = group.name
output ARCBRIDGE_CONTROL_PLANE_URL string = functions.outputs.url
output ARCBRIDGE_FUNCTIONS_NAME string = functions.outputs.name
output ARCBRIDGE_RELAY_ADDRESS string = '${relayHost}:8443'
output ARCBRIDGE_RELAY_DEFAULT_HOST string = relayDefaultHost
output ARCBRIDGE_REGISTRY_NAME string = registry.outputs.name
output ARCBRIDGE_REGISTRY_SERVER string = registry.outputs.loginServer
output ARCBRIDGE_VAULT_NAME string = keyvault.outputs.name
output ARCBRIDGE_DATABASE_JOB string = empty(databaseImage) ? '' : databaseJob.outputs.name
