// Who the programs are: one identity each, so that each is given what it needs and nothing more. No passwords, no keys.

@description('What every name of this deployment begins with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

resource functions 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-functions'
  location: location
  tags: tags
}

resource relay 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-relay'
  location: location
  tags: tags
}

// Prepares the database and is nobody afterwards: only the job that a deployment starts runs as it.
resource database 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-database'
  location: location
  tags: tags
}

output functionsId string = functions.id
output functionsName string = functions.name
output functionsClientId string = functions.properties.clientId
output functionsPrincipalId string = functions.properties.principalId
output relayId string = relay.id
output relayName string = relay.name
output relayClientId string = relay.properties.clientId
output relayPrincipalId string = relay.properties.principalId
output databaseId string = database.id
output databaseName string = database.name
output databaseClientId string = database.properties.clientId
output databasePrincipalId string = database.properties.principalId
