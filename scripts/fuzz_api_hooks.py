"""What `scripts/fuzz-api` has schemathesis do beyond what it does by itself.

Requests name things that exist, expressions compile now and then, texts hold what no text may hold, answers in lines
are read, and every answer is counted. One failure is let pass, and it is told here which one.
"""

import atexit
import collections
import json
import os
import random
import re
import uuid
from urllib.parse import parse_qs, urlsplit

import schemathesis

# The tenant that is asked about, its key, and where the counts go.
TENANT = os.environ["FUZZ_TENANT"]
KEY = os.environ["FUZZ_KEY_ID"]
COUNTS = os.environ["FUZZ_COUNTS"]

# What is in the path of a thing that was made last in each of these collections.
NAMES = {"tenants": "tenants", "rules": "ruleId", "derived-fields": "fieldId", "api-keys": "keyId"}

EXPRESSIONS = [
    "true",
    "facts.age >= 18",
    "facts.age > 10 && facts.country == 'US'",
    "facts.tags.exists(tag, tag == facts.country) || derived.adult",
    "1 / (facts.age - 20) > 0",
    "facts.ssn == 'x'",
    "facts.country.matches('^[A-Z]+$')",
    "facts.age > 'x'",
    "(",
]
FACTS = [{"age": 20, "country": "US", "tags": ["a", "US"], "ssn": "x"}, {"age": 1}, {"country": "DE", "more": 1}, {}]
# A NUL; half of a surrogate pair, each half, and both in the wrong order; what no character is.
STRANGE = ["\0", "\ud800", "\udfff", "\udfff\ud800", "\uffff", "\u202e", "a\0b"]
# The same in bytes, as a URL can hold them: none of these but the first is UTF-8.
STRANGE_BYTES = [b"\0", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xff", b"\xc0\xaf", b"a\0b"]

chance = random.Random(int(os.environ["FUZZ_SEED"]))
known = {}
statuses = collections.Counter()
allowed = 0


def one_in(number):
    return chance.randrange(number) == 0


def is_uuid(value):
    try:
        return bool(uuid.UUID(str(value)))
    except ValueError:
        return False


def instead_of(kept, asked, other):
    """What is asked for, unless it is what must be kept."""
    if not is_uuid(asked) or uuid.UUID(asked) != uuid.UUID(kept):
        return asked
    return other or str(uuid.UUID(int=chance.getrandbits(128), version=4))


def spoil(value):
    """The value with a strange text in one place of it, so far as it has one."""
    if isinstance(value, str):
        at = chance.randint(0, len(value))
        return value[:at] + chance.choice(STRANGE) + value[at:]
    if isinstance(value, list) and value:
        at = chance.randrange(len(value))
        return [spoil(item) if index == at else item for index, item in enumerate(value)]
    if isinstance(value, dict) and value:
        at = chance.choice(list(value))
        if one_in(4):
            return {spoil(key) if key == at else key: member for key, member in value.items()}
        return {key: spoil(member) if key == at else member for key, member in value.items()}
    return value


def fill(value):
    """The value with expressions that mean something, and facts that fit the schema, in most places for them."""
    if isinstance(value, list):
        return [fill(item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {}
    for key, member in value.items():
        if key == "expression" and isinstance(member, str) and not one_in(4):
            member = chance.choice(EXPRESSIONS)
        elif key == "facts" and isinstance(member, dict) and not one_in(4):
            member = chance.choice(FACTS)
        filled[key] = fill(member)
    return filled


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters or {}
    for name, value in parameters.items():
        # A made-up id becomes one that exists. What is no id stays, and so does a made-up one now and then.
        if is_uuid(value) and not one_in(8):
            parameters[name] = TENANT if name == "tenantId" else known.get(name, value)
        elif one_in(16):
            parameters[name] = strange_bytes()
    # Nothing could be asked any more if the tenant were deleted, suspended or left without quotas, or if its key were
    # revoked: such requests go to others.
    if case.operation.path == "/api/v1/tenants/{tenantId}" and case.method != "GET":
        parameters["tenantId"] = instead_of(TENANT, parameters["tenantId"], known.get("tenants"))
    if "keyId" in parameters:
        parameters["keyId"] = instead_of(KEY, parameters["keyId"], None)
    body = fill(case.body)
    if isinstance(body, dict) and is_uuid(body.get("tenantId")) and not one_in(8):
        body["tenantId"] = TENANT
    case.body = body
    # Past what schemathesis itself can hold: as JSON writes it, and as a URL does.
    if case.media_type == "application/json" and isinstance(body, (dict, list, str)) and one_in(8):
        kwargs["data"] = json.dumps(spoil(body), default=str).encode()
    if case.query and one_in(16):
        kwargs["auth"] = spoil_query


def spoil_query(request):
    """Gives one parameter of the request's query a strange value, last before it is sent."""
    request.url = re.sub("=[^&]*", f"={strange_bytes()}", request.url, count=1)
    return request


def strange_bytes():
    return "".join(f"%{byte:02X}" for byte in chance.choice(STRANGE_BYTES))


@schemathesis.hook
def after_call(context, case, response):
    statuses[response.status_code] += 1
    collection = case.operation.path.rsplit("/", 1)[-1]
    if response.status_code == 201 and collection in NAMES:
        known[NAMES[collection]] = response.json()["id"]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops one failure: the 503 that is documented for a `minRevision` which the tenant does not stand at yet."""
    global allowed
    if response.status_code != 503 or failure.__class__.__name__ != "ServerError":
        return True
    problem = response.json()
    if problem.get("code") != "revision_not_reached" or not asked_revision(response.request) > problem["currentRevision"]:
        return True
    allowed += 1
    return False


def asked_revision(request):
    asked = parse_qs(urlsplit(request.url).query).get("minRevision")
    return int(asked[0]) if asked else json.loads(request.body)["minRevision"]


@schemathesis.deserializer("application/x-ndjson")
def a_line(context, response):
    """Any line: what the document describes is one."""
    return json.loads(chance.choice(response.content.splitlines()))


@schemathesis.serializer("application/x-ndjson")
def as_lines(context, value):
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


@atexit.register
def tell():
    counts = {"round": os.environ["FUZZ_ROUND"], "statuses": dict(sorted(statuses.items())), "allowed": allowed}
    with open(COUNTS, "a") as file:
        file.write(json.dumps(counts) + "\n")
