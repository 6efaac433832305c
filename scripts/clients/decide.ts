// One decision with the generated client: a tenant, a schema, a rule, facts, the answer.
import createClient from "openapi-fetch";
import type { components, paths } from "./tenet.js";

const client = createClient<paths>({
  baseUrl: process.env.TENET_URL!,
  headers: { Authorization: `Bearer ${process.env.TENET_KEY}` },
});

function has<T>(name: string, answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(`${name}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

const tenant = has("tenant", await client.POST("/api/v1/tenants", { body: { name: "typescript" } }));
const params = { path: { tenantId: tenant.id } };
const definition: components["schemas"]["SchemaDefinition"] = {
  facts: { age: "int", country: { type: "string", maxLength: 2 }, address: { city: "string" } },
};
has("schema", await client.PUT("/api/v1/tenants/{tenantId}/schema", { params, body: { definition } }));
const rule = { name: "adult", expression: "facts.age >= 18" };
has("rule", await client.POST("/api/v1/tenants/{tenantId}/rules", { params, body: rule }));
const facts = { age: 25, country: "US", address: { city: "Utica" } };
const decision = has("decision", await client.POST("/api/v1/tenants/{tenantId}/evaluate", { params, body: { facts } }));
const result = decision.results[0];
if (result?.ruleName !== "adult" || !result.matched) throw new Error(JSON.stringify(decision));
const rules = has("rules", await client.GET("/api/v1/tenants/{tenantId}/rules", { params }));
const names: string[] = rules.items.map((item) => item.name);
if (names.join() !== "adult") throw new Error(JSON.stringify(rules));
console.log("== TypeScript: decided");
