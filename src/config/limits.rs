//! Every bound that is not a setting, with where its value comes from.

use std::time::Duration;

/// Characters of a tenant's or rule's name; the width of the columns.
pub const NAME_CHARS_MAX: usize = 255;
/// Characters of an identifier in a schema.
pub const IDENTIFIER_CHARS_MAX: usize = 100;
/// Objects of a schema.
pub const SCHEMA_OBJECTS_MAX: usize = 100;
/// Fields of an object.
pub const OBJECT_FIELDS_MAX: usize = 200;
/// How deep a schema's types may nest.
pub const SCHEMA_DEPTH_MAX: usize = 8;
/// Bytes of an expression: the parser's stack and time grow with it (4 KiB take 147 KiB of stack).
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
/// Nesting of brackets, calls and operators in an expression.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Names, literals, operators and calls of an expression.
pub const EXPRESSION_NODES_MAX: usize = 1_500;
/// Loops inside loops in an expression: each level multiplies the work.
pub const EXPRESSION_LOOPS_MAX: usize = 6;
/// Units of cost that one evaluation may take: about ten milliseconds.
pub const EVALUATION_COST_MAX: u64 = 1_000_000;
/// Units of cost of a decision, all its rules together: about fifty milliseconds.
pub const DECISION_COST_MAX: u64 = 5_000_000;
/// What a decision takes at most on the thread of its request, about half a millisecond; one that takes more is decided in the
/// evaluation pool.
pub const INLINE_COST_MAX: u64 = 50_000;
/// Bytes of the values that one evaluation may make.
pub const EVALUATION_MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Values that a trace may note.
pub const TRACE_ENTRIES_MAX: usize = 1_000;
/// Units that a value in a trace may weigh; a larger one is named, not shown.
pub const TRACE_VALUE_WEIGHT_MAX: u64 = 1_000;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// Tags of a rule.
pub const RULE_TAGS_MAX: usize = 50;
/// Characters of a tag.
pub const TAG_CHARS_MAX: usize = 100;
/// Depth of a JSON document.
pub const JSON_DEPTH_MAX: usize = 32;
/// Writers of one tenant that may wait for the one that writes.
pub const WRITERS_WAITING_MAX: usize = 8;
/// Loads of rule sets under way at once, on one node.
pub const LOADS_MAX: usize = 4;
/// Events that one statement stores.
pub const APPEND_EVENTS_MAX: usize = 1_000;
/// Events of a JSON batch.
pub const EVENT_BATCH_MAX: usize = 10_000;
/// Bytes of facts that one statement stores, but for a single larger submission.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Tenants whose events one statement stores: each is a lock.
pub const APPEND_TENANTS_MAX: usize = 256;
/// Statements that store events at once, on one node.
pub const APPENDS_IN_FLIGHT: u32 = 2;
/// Events that wait to be stored, on one node.
pub const APPENDER_QUEUE_MAX: usize = 10_000;
/// Events that a consumer reads, and so has in its hands, at once.
pub const EVENTS_READ_MAX: usize = 1_000;
/// Events to be tried again that a consumer reads at once.
pub const RETRIES_READ_MAX: u32 = 200;
/// Tenants whose events one node consumes at once.
pub const CONSUMERS_MAX: usize = 10_000;
/// Callers that may wait for rule sets to be loaded, on one node: each costs about a kilobyte.
pub const LOAD_WAITERS_MAX: usize = 10_000;
/// Rules of one tenant.
pub const RULES_MAX: usize = 10_000;
/// Derived fields of one tenant.
pub const DERIVED_FIELDS_MAX: usize = 500;
/// Sets of facts that an expression is tried on at once: each is evaluated and traced.
pub const TRIAL_ITEMS_MAX: usize = 20;
/// Rule ids or tags that one evaluation may name.
pub const SELECTION_MAX: usize = 10_000;
/// Rules or tags that a query string names; as many ids as fit into the 64 KiB of an address.
pub const QUERY_SELECTION_MAX: usize = 1_000;
/// Keys of one tenant, those that have ended and were not deleted among them.
pub const API_KEYS_MAX: i64 = 100;
/// How long a key may be good beside the one that replaces it: thirty days.
pub const API_KEY_OVERLAP_SECONDS_MAX: u32 = 2_592_000;
/// How long it is if nothing else is said: a day.
pub const API_KEY_OVERLAP_SECONDS_DEFAULT: u32 = 86_400;
/// Keys and tokens that a node keeps in memory as valid: each takes about 200 bytes.
pub const VERIFIED_CREDENTIALS_MAX: usize = 200_000;
/// Bytes of a token of an issuer; those in use have one or two thousand.
pub const JWT_BYTES_MAX: usize = 8 * 1024;
/// How far an issuer's clock may be off ours.
pub const JWT_LEEWAY: Duration = Duration::from_secs(30);
/// Characters of a token's subject, as OpenID Connect has it.
pub const JWT_SUBJECT_CHARS_MAX: usize = 255;
/// Bytes of an issuer's public keys.
pub const JWKS_BYTES_MAX: usize = 1024 * 1024;
/// Public keys of an issuer.
pub const JWKS_KEYS_MAX: usize = 100;
/// How long its address may take to answer with them.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time at least between two looks at them that tokens with unknown keys cause.
pub const JWKS_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Rows of a page of a list.
pub const PAGE_SIZE_MAX: u32 = 200;
/// Rows of a page of a list when none is asked for.
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Default upper bound of a list's items where a schema is silent.
pub const LIST_ITEMS_DEFAULT_MAX: u64 = 100;
/// Upper bound that `maxItems` itself may have.
pub const LIST_ITEMS_MAX: u64 = 100_000;
/// Default upper bound of a string's characters where a schema is silent.
pub const STRING_CHARS_DEFAULT_MAX: u64 = 4_096;
/// Upper bound that `maxLength` itself may have.
pub const STRING_CHARS_MAX: u64 = 1_048_576;
/// Bytes of all texts in the facts of a request of the usual size, as the estimate of costs takes them: what a body may hold
/// unless an operator says otherwise.
pub const REQUEST_BYTES: u64 = 256 * 1024;
/// Values of an enumeration.
pub const ENUM_VALUES_MAX: usize = 1_000;
/// Mistakes listed in one answer.
pub const DETAILS_MAX: usize = 100;
/// How long a node may be silent before it counts as gone: three heartbeats.
pub const NODE_SILENCE_MAX: Duration = Duration::from_secs(15);
/// Seconds that a tenant's own idle time may have; a year, as the column's check says.
pub const IDLE_STOP_SECONDS_MAX: u32 = 31_536_000;
