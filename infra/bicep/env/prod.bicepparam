using '../main.bicep'

// A standby in another zone, backups in another region, a registry that the network alone reaches, two warm instances.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'arcbridge-prod')
param location = readEnvironmentVariable('AZURE_LOCATION', 'swedencentral')
param tags = {
  stage: 'prod'
}
param postgresSku = 'Standard_D4ds_v5'
param postgresTier = 'GeneralPurpose'
param postgresStorageGib = 256
param postgresHighAvailability = 'ZoneRedundant'
param postgresBackupDays = 35
param postgresGeoBackup = 'Enabled'
param redisSku = 'Balanced_B5'
param redisHighAvailability = 'Enabled'
param keyVaultSku = 'premium'
param operatorAddresses = json(readEnvironmentVariable('ARCBRIDGE_OPERATOR_ADDRESSES', '[]'))
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param operatorPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'ServicePrincipal')
param storageSku = 'Standard_ZRS'
param registrySku = 'Premium'
param zoneRedundant = true
param functionsMaximumInstances = 400
param functionsAlwaysReady = 2
param postgresRestoredHost = readEnvironmentVariable('ARCBRIDGE_POSTGRES_RESTORED_HOST', '')
param relayImage = readEnvironmentVariable('ARCBRIDGE_RELAY_IMAGE', '')
param databaseImage = readEnvironmentVariable('ARCBRIDGE_DATABASE_IMAGE', readEnvironmentVariable('ARCBRIDGE_RELAY_IMAGE', ''))
param agentImage = readEnvironmentVariable('ARCBRIDGE_AGENT_IMAGE')
param relayMinReplicas = 3
param relayMaxReplicas = 100
param relayCpu = '1.0'
param relayMemory = '2Gi'
param relayHostName = readEnvironmentVariable('ARCBRIDGE_RELAY_HOST_NAME', '')
param controlPlaneUrl = readEnvironmentVariable('ARCBRIDGE_CONTROL_PLANE_CUSTOM_URL', '')
param oidcAudience = readEnvironmentVariable('ARCBRIDGE_OIDC_AUDIENCE')
param oidcTenants = json(readEnvironmentVariable('ARCBRIDGE_OIDC_TENANTS'))
param oidcGroups = json(readEnvironmentVariable('ARCBRIDGE_OIDC_GROUPS', '{}'))
param trustDomain = readEnvironmentVariable('ARCBRIDGE_TRUST_DOMAIN')
param caChain = readEnvironmentVariable('ARCBRIDGE_CA_CHAIN_BASE64', '')
param logRetentionDays = 90
param alertEmail = readEnvironmentVariable('ARCBRIDGE_ALERT_EMAIL')
param runbookBase = readEnvironmentVariable('ARCBRIDGE_RUNBOOK_BASE')
