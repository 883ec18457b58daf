// What wakes a person, each with the address of its runbook, and the workbook to look at first.
// The programs log constant texts: the queries look for exactly those.

@description('What every name of this deployment begins with.')
param prefix string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Where the runbooks are read, without a slash at the end.')
param runbookBase string

@description('Log Analytics workspace.')
param workspaceId string

@description('Application Insights.')
param insightsId string

@description('Who is told.')
param actionGroupId string

@description('PostgreSQL server.')
param postgresId string

@description('Redis.')
param redisId string

@description('The relay; empty while there is none.')
param relayId string

@description('Public URL of the control plane.')
param controlPlaneUrl string

var logAlerts = [
  {
    name: 'requests-failing'
    severity: 1
    runbook: 'platform/RequestsFailing.md'
    description: 'The control plane answers calls with errors of its own.'
    query: 'AppTraces | where Message has_any ("request failed", "request ran out of time")'
    threshold: 10
    window: 'PT10M'
  }
  {
    name: 'timers-failing'
    severity: 1
    runbook: 'platform/TimersFailing.md'
    description: 'Timers fail: rollouts do not move and silence of clusters is not noticed.'
    query: 'AppTraces | where Message has "timer run failed"'
    threshold: 5
    window: 'PT15M'
  }
  {
    name: 'certificates-not-issued'
    severity: 1
    runbook: 'platform/CertificatesNotIssued.md'
    description: 'Key Vault does not sign: no cluster joins, no certificate is renewed.'
    query: 'AppTraces | where Message has_any ("key vault did not sign", "server certificate cannot be renewed")'
    threshold: 3
    window: 'PT15M'
  }
  {
    name: 'ca-rotation-due'
    severity: 2
    runbook: 'platform/CaRotationDue.md'
    description: 'The issuing CA ends within a month: it must be rotated.'
    query: 'AppTraces | where Message has "the CA must be rotated"'
    threshold: 5
    window: 'PT15M'
  }
  {
    name: 'hot-path-down'
    severity: 2
    runbook: 'platform/HotPathDown.md'
    description: 'Redis does not answer: wake-ups are late and heartbeats are held back.'
    query: 'AppTraces | where Message has_any ("wake-ups are not heard", "redis takes no heartbeats", "pacing.unreachable")'
    threshold: 10
    window: 'PT10M'
  }
  {
    name: 'database-refuses-heartbeats'
    severity: 2
    runbook: 'platform/DatabaseOverloaded.md'
    description: 'PostgreSQL does not take what the relay hands on.'
    query: 'AppTraces | where Message has_any ("postgres takes no heartbeats", "the outbox cannot be drained", "revocations cannot be looked up")'
    threshold: 10
    window: 'PT10M'
  }
  {
    name: 'duplicate-identity'
    severity: 1
    runbook: 'DuplicateIdentity.md'
    description: 'Two agents use the certificate of one cluster.'
    query: 'AppTraces | where Message has "two agents use one identity"'
    threshold: 0
    window: 'PT15M'
  }
]

var databaseAlerts = [
  {
    name: 'database-cpu'
    severity: 2
    metric: 'cpu_percent'
    threshold: 85
    description: 'PostgreSQL has been busy for a quarter of an hour.'
  }
  {
    name: 'database-storage'
    severity: 1
    metric: 'storage_percent'
    threshold: 85
    description: 'PostgreSQL\'s storage fills up.'
  }
]

resource queries 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in logAlerts: {
  name: '${prefix}-${alert.name}'
  location: location
  tags: tags
  properties: {
    displayName: alert.name
    description: '${alert.description} ${runbookBase}/${alert.runbook}'
    severity: alert.severity
    enabled: true
    evaluationFrequency: 'PT5M'
    windowSize: alert.window
    scopes: [workspaceId]
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: alert.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: alert.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [actionGroupId]
      customProperties: {
        runbook: '${runbookBase}/${alert.runbook}'
      }
    }
  }
}]

resource database 'Microsoft.Insights/metricAlerts@2018-03-01' = [for alert in databaseAlerts: {
  name: '${prefix}-${alert.name}'
  location: 'global'
  tags: tags
  properties: {
    description: '${alert.description} ${runbookBase}/platform/DatabaseOverloaded.md'
    severity: alert.severity
    enabled: true
    scopes: [postgresId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'above'
          criterionType: 'StaticThresholdCriterion'
          metricName: alert.metric
          operator: 'GreaterThan'
          threshold: alert.threshold
          timeAggregation: 'Average'
        }
      ]
    }
    actions: [
      {
        actionGroupId: actionGroupId
        webHookProperties: {
          runbook: '${runbookBase}/platform/DatabaseOverloaded.md'
        }
      }
    ]
  }
}]

resource redisMemory 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-redis-memory'
  location: 'global'
  tags: tags
  properties: {
    description: 'Redis fills up; it evicts nothing and will refuse writes. ${runbookBase}/platform/HotPathDown.md'
    severity: 2
    enabled: true
    scopes: [redisId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'above'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'usedmemorypercentage'
          operator: 'GreaterThan'
          threshold: 80
          timeAggregation: 'Maximum'
        }
      ]
    }
    actions: [
      {
        actionGroupId: actionGroupId
        webHookProperties: {
          runbook: '${runbookBase}/platform/HotPathDown.md'
        }
      }
    ]
  }
}

resource relayReplicas 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(relayId)) {
  name: '${prefix}-relay-replicas'
  location: 'global'
  tags: tags
  properties: {
    description: 'Fewer than two relays run. ${runbookBase}/platform/RelayDown.md'
    severity: 1
    enabled: true
    scopes: [relayId]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'below'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'Replicas'
          operator: 'LessThan'
          threshold: 2
          timeAggregation: 'Maximum'
        }
      ]
    }
    actions: [
      {
        actionGroupId: actionGroupId
        webHookProperties: {
          runbook: '${runbookBase}/platform/RelayDown.md'
        }
      }
    ]
  }
}

resource probe 'Microsoft.Insights/webtests@2022-06-15' = {
  name: '${prefix}-ready'
  location: location
  tags: union(tags, { 'hidden-link:${insightsId}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: '${prefix}-ready'
    Name: 'The control plane is ready'
    Enabled: true
    Frequency: 300
    Timeout: 30
    Kind: 'standard'
    RetryEnabled: true
    Locations: [
      {
        Id: 'emea-nl-ams-azr'
      }
      {
        Id: 'us-va-ash-azr'
      }
      {
        Id: 'apac-sg-sin-azr'
      }
    ]
    Request: {
      RequestUrl: '${controlPlaneUrl}/api/health/ready'
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 14
    }
  }
}

resource unavailable 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-unavailable'
  location: 'global'
  tags: tags
  properties: {
    description: 'The control plane does not answer from two places. ${runbookBase}/platform/ControlPlaneUnavailable.md'
    severity: 0
    enabled: true
    scopes: [probe.id, insightsId]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: probe.id
      componentId: insightsId
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: actionGroupId
        webHookProperties: {
          runbook: '${runbookBase}/platform/ControlPlaneUnavailable.md'
        }
      }
    ]
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, prefix, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'ArcBridge'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: loadTextContent('../workbook.json')
  }
}
