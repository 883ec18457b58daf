// The control plane: every REST endpoint and every timer, on Flex Consumption. It reaches the rest through the network
// and its own identity; its HTTPS endpoint is public because clusters everywhere call it.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource; azd finds the app by one of them.')
param tags object

@description('Delegated subnet.')
param subnetId string

@description('The app\'s identity.')
param identityId string

@description('Name of that identity, which is its login in PostgreSQL.')
param identityName string

@description('Client id of that identity.')
param identityClientId string

@description('Object id of that identity, which is its user in Redis.')
param identityPrincipalId string

@description('Storage account of the host.')
param storageName string

@description('Container that the package is deployed to.')
param packagesUrl string

@description('PostgreSQL\'s host.')
param postgresHost string

@description('PgBouncer\'s port.')
param postgresPort int

@description('The database.')
param databaseName string

@description('Redis\'s host.')
param redisHost string

@description('Redis\'s port.')
param redisPort int

@description('Host and port that agents open their stream to.')
param relayAddress string

@description('Public URL; empty for the one that Azure gives the app.')
param controlPlaneUrl string

@description('Trusted issuer, with {tid} for the directory.')
param oidcIssuer string

@description('Application id of ArcBridge in the directory.')
param oidcAudience string

@description('Directory ids, each with its tenant.')
param oidcTenants object

@description('Directory groups, each with its role.')
param oidcGroups object

@description('SPIFFE trust domain.')
param trustDomain string

@description('The issuing CA\'s key.')
param caKeyId string

@description('The issuing certificate and the root, PEM; empty until the key is certified.')
param caChain string

@description('Hours that an agent\'s certificate lasts.')
param certificateHours int

@description('Seconds between heartbeats.')
param heartbeatSeconds int

@description('Seconds between looks at the desired state without a wake-up.')
param pollSeconds int

@description('The agent\'s image, by digest.')
param agentImage string

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMb int

@description('Most instances at one time.')
@minValue(40)
@maxValue(1000)
param maximumInstances int

@description('Calls that one instance takes at one time, before another is started.')
@minValue(1)
@maxValue(1000)
param perInstanceConcurrency int

@description('Instances for HTTP that are kept warm; 0 for none.')
@minValue(0)
@maxValue(100)
param alwaysReadyHttp int

@description('Connection string of Application Insights. Its key opens nothing: local authentication is off.')
param insightsConnectionString string

@description('Log Analytics workspace.')
param workspaceId string

@description('Whether several zones hold the plan\'s instances.')
param zoneRedundant bool

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225:the parameter zoneRedundant spreads it where the region has zones
  name: '${prefix}-functions'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_17:agents show a signed assertion, not a TLS certificate; the relay is where mutual TLS ends
  // checkov:skip=CKV_AZURE_222:clusters everywhere call this endpoint; each call shows a credential of its own
  // checkov:skip=CKV_AZURE_212:Flex Consumption counts its own instances; always-ready ones are a parameter
  name: '${prefix}-functions-${unique}'
  location: location
  tags: union(tags, { 'azd-service-name': 'control-plane' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientCertEnabled: false
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMb
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReadyHttp == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReadyHttp
          }
        ]
        triggers: {
          http: {
            perInstanceConcurrency: perInstanceConcurrency
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      healthCheckPath: '/api/health/ready'
      appSettings: [
        {
          name: 'AzureWebJobsStorage__accountName'
          value: storageName
        }
        {
          name: 'AzureWebJobsStorage__credential'
          value: 'managedidentity'
        }
        {
          name: 'AzureWebJobsStorage__clientId'
          value: identityClientId
        }
        {
          name: 'AzureWebJobsDisableHomepage'
          value: 'true'
        }
        {
          name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          value: insightsConnectionString
        }
        {
          name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
          value: 'Authorization=AAD;ClientId=${identityClientId}'
        }
        {
          name: 'PYTHON_ENABLE_OPENTELEMETRY'
          value: 'true'
        }
        {
          // Which of the app's identities azure-identity takes.
          name: 'AZURE_CLIENT_ID'
          value: identityClientId
        }
        {
          // The bundled libpq looks elsewhere for roots that it checks PostgreSQL's certificate with.
          name: 'SSL_CERT_FILE'
          value: '/etc/ssl/certs/ca-certificates.crt'
        }
        {
          name: 'ARCBRIDGE_POSTGRES_URL'
          value: 'postgresql://${identityName}@${postgresHost}:${postgresPort}/${databaseName}?sslmode=verify-full&sslrootcert=system'
        }
        {
          name: 'ARCBRIDGE_REDIS_URL'
          value: 'rediss://${identityPrincipalId}@${redisHost}:${redisPort}/0'
        }
        {
          name: 'ARCBRIDGE_CONTROL_PLANE_URL'
          value: empty(controlPlaneUrl) ? 'https://${prefix}-functions-${unique}.azurewebsites.net' : controlPlaneUrl
        }
        {
          name: 'ARCBRIDGE_RELAY_ADDRESS'
          value: relayAddress
        }
        {
          name: 'ARCBRIDGE_OIDC_ISSUER'
          value: oidcIssuer
        }
        {
          name: 'ARCBRIDGE_OIDC_AUDIENCE'
          value: oidcAudience
        }
        {
          name: 'ARCBRIDGE_OIDC_TENANTS'
          value: string(oidcTenants)
        }
        {
          name: 'ARCBRIDGE_OIDC_GROUPS'
          value: string(oidcGroups)
        }
        {
          name: 'ARCBRIDGE_TRUST_DOMAIN'
          value: trustDomain
        }
        {
          name: 'ARCBRIDGE_CA_KEY_ID'
          value: caKeyId
        }
        {
          name: 'ARCBRIDGE_CA_CHAIN'
          value: caChain
        }
        {
          name: 'ARCBRIDGE_CERTIFICATE_HOURS'
          value: string(certificateHours)
        }
        {
          name: 'ARCBRIDGE_HEARTBEAT_SECONDS'
          value: string(heartbeatSeconds)
        }
        {
          name: 'ARCBRIDGE_POLL_SECONDS'
          value: string(pollSeconds)
        }
        {
          name: 'ARCBRIDGE_AGENT_IMAGE'
          value: agentImage
        }
        {
          name: 'ARCBRIDGE_PACER_SCHEDULE'
          value: '*/5 * * * * *'
        }
        {
          name: 'ARCBRIDGE_HEARTBEAT_FLUSH_SCHEDULE'
          value: '*/15 * * * * *'
        }
        {
          name: 'ARCBRIDGE_CONNECTIVITY_SWEEP_SCHEDULE'
          value: '0 * * * * *'
        }
        {
          name: 'ARCBRIDGE_DRIFT_SWEEP_SCHEDULE'
          value: '0 */5 * * * *'
        }
        {
          name: 'ARCBRIDGE_CERTIFICATE_SWEEP_SCHEDULE'
          value: '30 * * * * *'
        }
        {
          name: 'ARCBRIDGE_RETENTION_SCHEDULE'
          value: '0 30 3 * * *'
        }
      ]
    }
  }
}

// Basic authentication for deployments: off. The package is deployed with an Entra token.
resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: app
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

output name string = app.name
output url string = empty(controlPlaneUrl) ? 'https://${app.properties.defaultHostName}' : controlPlaneUrl
