// The job that a deployment starts to prepare the database: it runs inside the network, which a laptop or a pipeline is not.
// It makes the database and the programs' logins and applies the migrations; run again it finds nothing to do.

@description('What every name of this deployment begins with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Container Apps environment.')
param environmentId string

@description('The relay\'s image, which holds the migrations too; by digest.')
param image string

@description('Registry that the image is in.')
param registryServer string

@description('Identity that prepares the database.')
param identityId string

@description('Name of that identity, which is its login in PostgreSQL.')
param identityName string

@description('Client id of that identity.')
param identityClientId string

@description('PostgreSQL\'s host.')
param postgresHost string

@description('The database.')
param databaseName string

@description('Logins of the programs: name=object id, each.')
param logins array

@description('Tenants that the directories\' people belong to.')
param tenants array

resource job 'Microsoft.App/jobs@2024-03-01' = {
  name: '${prefix}-database'
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
      triggerType: 'Manual'
      manualTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
      }
      replicaTimeout: 900
      replicaRetryLimit: 2
      registries: [
        {
          server: registryServer
          identity: identityId
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'database'
          image: image
          command: ['/venv/bin/python', '-m', 'shared.services.prepare_database']
          args: ['--phase=all']
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: [
            {
              name: 'AZURE_CLIENT_ID'
              value: identityClientId
            }
            {
              name: 'SSL_CERT_FILE'
              value: '/etc/ssl/certs/ca-certificates.crt'
            }
            {
              // Past PgBouncer: migrations hold locks that belong to a session.
              name: 'ARCBRIDGE_MIGRATION_POSTGRES_URL'
              value: 'postgresql://${identityName}@${postgresHost}:5432/${databaseName}?sslmode=verify-full&sslrootcert=system'
            }
            {
              name: 'ARCBRIDGE_DATABASE_LOGINS'
              value: join(logins, ',')
            }
            {
              name: 'ARCBRIDGE_DATABASE_TENANTS'
              value: join(tenants, ',')
            }
          ]
        }
      ]
    }
  }
}

output name string = job.name
