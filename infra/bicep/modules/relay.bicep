// The relay: TCP ingress, so that TLS ends in the relay itself and long streams are not cut off.

@description('What every name of this deployment begins with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Container Apps environment.')
param environmentId string

@description('The relay\'s image, by digest.')
param image string

@description('Registry that the image is in.')
param registryServer string

@description('The relay\'s identity.')
param identityId string

@description('Name of that identity, which is its login in PostgreSQL.')
param identityName string

@description('Client id of that identity.')
param identityClientId string

@description('Object id of that identity, which is its user in Redis.')
param identityPrincipalId string

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

@description('Names that agents know the relay by, separated by commas.')
param hostNames string

@description('SPIFFE trust domain.')
param trustDomain string

@description('The issuing CA\'s key.')
param caKeyId string

@description('The issuing certificate and the root, PEM.')
param caChain string

@description('Hours that an agent\'s certificate lasts.')
param certificateHours int

@description('Seconds between heartbeats.')
param heartbeatSeconds int

@description('Fewest replicas.')
@minValue(2)
@maxValue(100)
param minReplicas int

@description('Most replicas.')
@minValue(2)
@maxValue(1000)
param maxReplicas int

@description('Connections per replica at which another is started.')
@minValue(100)
@maxValue(12000)
param connectionsPerReplica int

@description('Cores of a replica.')
@allowed(['0.5', '1.0', '2.0'])
param cpu string

@description('Memory of a replica.')
@allowed(['1Gi', '2Gi', '4Gi'])
param memory string

@description('Connection string of Application Insights. Its key opens nothing: local authentication is off.')
param insightsConnectionString string

var port = 8443
var healthPort = 8444
var drainSeconds = 120

resource relay 'Microsoft.App/containerApps@2024-03-01' = {
  name: '${prefix}-relay'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      maxInactiveRevisions: 10
      ingress: {
        external: true
        transport: 'tcp'
        targetPort: port
        exposedPort: port
      }
      registries: [
        {
          server: registryServer
          identity: identityId
        }
      ]
    }
    template: {
      terminationGracePeriodSeconds: drainSeconds + 30
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        rules: [
          {
            name: 'connections'
            tcp: {
              metadata: {
                concurrentConnections: string(connectionsPerReplica)
              }
            }
          }
        ]
      }
      containers: [
        {
          name: 'relay'
          image: image
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/health/live'
                port: healthPort
              }
              periodSeconds: 2
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/health/live'
                port: healthPort
              }
              periodSeconds: 10
              failureThreshold: 3
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/health/ready'
                port: healthPort
              }
              periodSeconds: 5
              failureThreshold: 3
            }
          ]
          env: [
            {
              name: 'AZURE_CLIENT_ID'
              value: identityClientId
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
              name: 'ARCBRIDGE_RELAY_BIND'
              value: '0.0.0.0'
            }
            {
              name: 'ARCBRIDGE_RELAY_PORT'
              value: string(port)
            }
            {
              name: 'ARCBRIDGE_RELAY_HTTP_PORT'
              value: string(healthPort)
            }
            {
              name: 'ARCBRIDGE_RELAY_HOST_NAMES'
              value: hostNames
            }
            {
              name: 'ARCBRIDGE_DRAIN_SECONDS'
              value: string(drainSeconds)
            }
          ]
        }
      ]
    }
  }
}

output name string = relay.name
output id string = relay.id
