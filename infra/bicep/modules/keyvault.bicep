// Key Vault with one key: the issuing CA's. It signs inside the vault and cannot be taken out.

@description('What every name of this deployment begins with.')
param prefix string

@description('Part of names that must be the only one in the world.')
param unique string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Standard keeps keys in software, premium in a hardware security module.')
@allowed(['standard', 'premium'])
param skuName string

@description('Whether it is reached from operatorAddresses too, or from the network only.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('Addresses (CIDR) that reach the vault from outside, for the ceremony that certifies the key; empty closes it.')
param operatorAddresses array

@description('Object id of who certifies the key; it may see public keys. Empty for nobody.')
param operatorPrincipalId string

@description('Kind of that principal.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorPrincipalType string

@description('Object id of the Functions app\'s identity.')
param functionsPrincipalId string

@description('Object id of the relay\'s identity.')
param relayPrincipalId string

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone of Key Vault.')
param zoneId string

@description('Log Analytics workspace.')
param workspaceId string

var readerRole = '21090545-7ca7-4776-b22c-e363652d74d2'

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  // checkov:skip=CKV_AZURE_189:open to operatorAddresses only, and only while the key is certified; closed otherwise
  name: take('${prefix}-${unique}', 24)
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: skuName
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
      ipRules: [for address in operatorAddresses: {
        value: address
      }]
    }
  }
}

resource issuingKey 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  // checkov:skip=CKV_AZURE_112:the parameter keyVaultSku makes it a hardware key where that is wanted
  // checkov:skip=CKV_AZURE_40:the issuing certificate ends after 180 days; a key that ends before it would stop every renewal
  parent: vault
  name: 'issuing'
  tags: tags
  properties: {
    kty: skuName == 'premium' ? 'EC-HSM' : 'EC'
    curveName: 'P-256'
    keyOps: ['sign']
    attributes: {
      enabled: true
      exportable: false
    }
  }
}

// The built-in role for using keys may also decrypt, unwrap and back up. The programs sign.
resource signerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(vault.id, 'certificate-signer')
  properties: {
    roleName: 'ArcBridge certificate signer ${unique}'
    description: 'Signs with a key of Key Vault and reads its public half.'
    type: 'CustomRole'
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keys/sign/action'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [resourceGroup().id]
  }
}

resource functionsSigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(issuingKey.id, functionsPrincipalId, signerRole.id)
  scope: issuingKey
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: signerRole.id
  }
}

resource relaySigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(issuingKey.id, relayPrincipalId, signerRole.id)
  scope: issuingKey
  properties: {
    principalId: relayPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: signerRole.id
  }
}

resource operatorReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  name: guid(vault.id, operatorPrincipalId, readerRole)
  scope: vault
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', readerRole)
  }
}

module endpoint 'private-endpoint.bicep' = {
  name: 'vault-endpoint'
  params: {
    name: '${prefix}-vault'
    location: location
    tags: tags
    subnetId: subnetId
    targetId: vault.id
    groupId: 'vault'
    zoneId: zoneId
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
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

output id string = vault.id
output name string = vault.name
output issuingKeyId string = issuingKey.properties.keyUriWithVersion
