using '../main.bicep'

// The least that works: nothing kept warm, no standby. About a third of production's price (docs/deploying.md).
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'arcbridge-dev')
param location = readEnvironmentVariable('AZURE_LOCATION', 'swedencentral')
param tags = {
  stage: 'dev'
}
param operatorAddresses = json(readEnvironmentVariable('ARCBRIDGE_OPERATOR_ADDRESSES', '[]'))
param operatorPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param operatorPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
param postgresRestoredHost = readEnvironmentVariable('ARCBRIDGE_POSTGRES_RESTORED_HOST', '')
param relayImage = readEnvironmentVariable('ARCBRIDGE_RELAY_IMAGE', '')
param databaseImage = readEnvironmentVariable('ARCBRIDGE_DATABASE_IMAGE', readEnvironmentVariable('ARCBRIDGE_RELAY_IMAGE', ''))
param agentImage = readEnvironmentVariable('ARCBRIDGE_AGENT_IMAGE')
param oidcAudience = readEnvironmentVariable('ARCBRIDGE_OIDC_AUDIENCE')
param oidcTenants = json(readEnvironmentVariable('ARCBRIDGE_OIDC_TENANTS'))
param oidcGroups = json(readEnvironmentVariable('ARCBRIDGE_OIDC_GROUPS', '{}'))
param trustDomain = readEnvironmentVariable('ARCBRIDGE_TRUST_DOMAIN', 'arcbridge-dev.internal')
param caChain = readEnvironmentVariable('ARCBRIDGE_CA_CHAIN_BASE64', '')
param alertEmail = readEnvironmentVariable('ARCBRIDGE_ALERT_EMAIL', '')
param runbookBase = readEnvironmentVariable('ARCBRIDGE_RUNBOOK_BASE')
