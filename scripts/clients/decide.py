"""One decision with the generated client: a tenant, a schema, a rule, facts, the answer."""

import importlib
import os
import pkgutil

import tenet_client
from tenet_client import AuthenticatedClient

# Every module of the client can be imported.
for module in pkgutil.walk_packages(tenet_client.__path__, "tenet_client."):
    importlib.import_module(module.name)

from tenet_client import models
from tenet_client.api.decisions import evaluate_for_tenant
from tenet_client.api.rules import create_rule, list_rules
from tenet_client.api.schema import put_schema
from tenet_client.api.tenants import create_tenant

client = AuthenticatedClient(base_url=os.environ["TENET_URL"], token=os.environ["TENET_KEY"])


def has(name, response):
    assert response.status_code in (200, 201), f"{name}: {response.status_code} {response.content!r}"
    assert not isinstance(response.parsed, models.Problem), f"{name}: {response.parsed}"
    return response.parsed


def body(model, **members):
    return model.from_dict(members)


tenant = has("tenant", create_tenant.sync_detailed(client=client, body=body(models.TenantBody, name="python")))
definition = {"facts": {"age": "int", "country": {"type": "string", "maxLength": 2}}}
schema = body(models.SchemaBody, definition=definition)
has("schema", put_schema.sync_detailed(tenant.id, client=client, body=schema))
rule = body(models.RuleBody, name="adult", expression="facts.age >= 18")
has("rule", create_rule.sync_detailed(tenant.id, client=client, body=rule))
facts = body(models.TenantEvaluateBody, facts={"age": 25, "country": "US"})
decision = has("decision", evaluate_for_tenant.sync_detailed(tenant.id, client=client, body=facts))
(result,) = decision.results
assert result.rule_name == "adult" and result.matched, decision
rules = has("rules", list_rules.sync_detailed(tenant.id, client=client))
assert [item.name for item in rules.items] == ["adult"], rules
print("== Python: decided")
