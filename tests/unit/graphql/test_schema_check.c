/* SPDX-License-Identifier: MIT */
/* What a schema must be beyond the SDL rules: for each check, what it refuses and what it lets pass. */
#include "schemas.h"

static void test_root_types(void **state)
{
    static const schema_case cases[] = {
        {"NoQuery", "type A { a: Int }\n", "-: Query root type must be provided. @\n"},
        {"NoQuery2",
         "\"\"\"d\"\"\"\n"
         "schema @foo { mutation: M }\n"
         "directive @foo on SCHEMA\n"
         "type M { a: Int }\n",
         "-: Query root type must be provided. @ 1:1\n"},
        {"RootKinds",
         "input Query { a: Int }\n"
         "interface Mutation { a: Int }\n"
         "union Subscription = X\n"
         "type X { a: Int }\n",
         "-: Query root type must be Object type, it cannot be Query. @ 1:1\n"
         "-: Mutation root type must be Object type if provided, it cannot be Mutation. @ 2:1\n"
         "-: Subscription root type must be Object type if provided, it cannot be Subscription. @ 3:1\n"},
        {"RootKinds2",
         "schema { query: In }\n"
         "input In { a: Int }\n"
         "extend schema { mutation: E subscription: S }\n"
         "enum E { A }\n"
         "scalar S\n",
         "-: Query root type must be Object type, it cannot be In. @ 1:17\n"
         "-: Mutation root type must be Object type if provided, it cannot be E. @ 3:27\n"
         "-: Subscription root type must be Object type if provided, it cannot be S. @ 3:43\n"},
        {"RootSame",
         "schema { query: Q mutation: Q subscription: Q }\n"
         "type Q { a: Int }\n",
         "-: All root types must be different, \"Q\" type is used as query, mutation, and subscription root "
         "types. @ 1:17 1:29 1:45\n"},
        {"RootSame2",
         "schema { query: Q mutation: M }\n"
         "extend schema { subscription: M }\n"
         "type Q { a: Int }\n"
         "type M { a: Int }\n",
         "-: All root types must be different, \"M\" type is used as mutation and subscription root types. @ "
         "1:29 2:31\n"},
        {"three roots by their names",
         "type Query { a: Int }\n"
         "type Mutation { a: Int }\n"
         "type Subscription { a: Int }\n",
         ""},
        {"only the roots that the definition names",
         "schema { query: Query }\n"
         "type Query { a: Int }\n"
         "type Mutation { b: Int }\n",
         ""},
    };
    CHECK_CASES(cases);
}

static void test_names(void **state)
{
    static const schema_case cases[] = {
        {"Names",
         "type Query { __a: Int b(__c: Int): Int }\n"
         "\"d\" type __T { a: Int }\n"
         "enum E { __V }\n"
         "input __I { __f: Int }\n"
         "directive @__d(__e: Int) on FIELD\n"
         "scalar __S\n"
         "interface __If { a: Int }\n"
         "union __U = Query\n",
         "-: Name \"__d\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 5:1\n"
         "-: Name \"__e\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 5:16\n"
         "-: Name \"__a\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 1:14\n"
         "-: Name \"__c\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 1:25\n"
         "-: Name \"__T\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 2:1\n"
         "-: Name \"__V\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 3:10\n"
         "-: Name \"__I\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 4:1\n"
         "-: Name \"__f\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 4:13\n"
         "-: Name \"__S\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 6:1\n"
         "-: Name \"__If\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 7:1\n"
         "-: Name \"__U\" must not begin with \"__\", which is reserved by GraphQL introspection. @ 8:1\n"},
    };
    CHECK_CASES(cases);
}

static void test_types_of_inputs_and_outputs(void **state)
{
    static const schema_case cases[] = {
        {"DirectiveTypes",
         "directive @d(a: Query, b: [Query!]!, c: Int! @deprecated) on FIELD\n"
         "type Query { a: Int }\n",
         "-: The type of @d(a:) must be Input Type but got: Query. @ 1:14\n"
         "-: The type of @d(b:) must be Input Type but got: [Query!]!. @ 1:24\n"
         "-: Required argument @d(c:) cannot be deprecated. @ 1:46 1:41\n"},
        {"Output",
         "type Query { a: In b: [In!] c(x: Query, y: [U]): Int d(z: Int! @deprecated(reason: \"x\") w: Int! "
         "= 1 @deprecated): Int }\n"
         "input In { a: Int }\n"
         "union U = Query\n",
         "-: The type of Query.a must be Output Type but got: In. @ 1:17\n"
         "-: The type of Query.b must be Output Type but got: [In!]. @ 1:23\n"
         "-: The type of Query.c(x:) must be Input Type but got: Query. @ 1:34\n"
         "-: The type of Query.c(y:) must be Input Type but got: [U]. @ 1:44\n"
         "-: Required argument Query.d(z:) cannot be deprecated. @ 1:64 1:59\n"},
        {"InputFields",
         "type Query { a: Int }\n"
         "input In { a: Query b: [I]! c: Int! @deprecated(reason: \"y\") d: Int! = 3 @deprecated }\n"
         "interface I { a: Int }\n",
         "-: The type of In.a must be Input Type but got: Query. @ 2:15\n"
         "-: The type of In.b must be Input Type but got: [I]!. @ 2:24\n"
         "-: Required input field In.c cannot be deprecated. @ 2:37 2:32\n"},
    };
    CHECK_CASES(cases);
}

static void test_empty_types(void **state)
{
    static const schema_case cases[] = {
        {"Empty",
         "type Query\n"
         "extend type Query @d\n"
         "directive @d on OBJECT | UNION | ENUM | INPUT_OBJECT | INTERFACE\n"
         "interface I\n"
         "union U\n"
         "extend union U @d\n"
         "enum E\n"
         "extend enum E @d\n"
         "input In\n",
         "-: Type Query must define one or more fields. @ 1:1 2:1\n"
         "-: Type I must define one or more fields. @ 4:1\n"
         "-: Union type U must define one or more member types. @ 5:1 6:1\n"
         "-: Enum type E must define one or more values. @ 7:1 8:1\n"
         "-: Input Object type In must define one or more fields. @ 9:1\n"},
    };
    CHECK_CASES(cases);
}

static void test_what_can_be_implemented(void **state)
{
    static const schema_case cases[] = {
        {"Implements",
         "type Query implements Q2 & Query { a: Int }\n"
         "type Q2 { a: Int }\n"
         "interface I { a: Int }\n"
         "interface J implements J { a: Int }\n"
         "type A implements I & I { a: Int }\n"
         "extend type A implements I\n"
         "union U = A\n"
         "type B implements U & S & E & In { a: Int }\n"
         "scalar S\n"
         "enum E { X }\n"
         "input In { a: Int }\n",
         "-: Type Query must only implement Interface types, it cannot implement Q2. @ 1:23\n"
         "-: Type Query must only implement Interface types, it cannot implement Query. @ 1:28\n"
         "-: Type J cannot implement itself because it would create a circular reference. @ 4:24\n"
         "-: Type A can only implement I once. @ 5:19 5:23 6:26\n"
         "-: Type A can only implement I once. @ 5:19 5:23 6:26\n"
         "-: Type B must only implement Interface types, it cannot implement U. @ 8:19\n"
         "-: Type B must only implement Interface types, it cannot implement S. @ 8:23\n"
         "-: Type B must only implement Interface types, it cannot implement E. @ 8:27\n"
         "-: Type B must only implement Interface types, it cannot implement In. @ 8:31\n"},
        {"Ancestors",
         "type Query { a: Int }\n"
         "interface A { a: Int }\n"
         "interface B implements A { a: Int }\n"
         "interface C implements B & A { a: Int }\n"
         "type T implements C { a: Int }\n"
         "type V implements C & B { a: Int }\n"
         "interface X implements Y { a: Int }\n"
         "interface Y implements X { a: Int }\n",
         "-: Type T must implement B because it is implemented by C. @ 4:24 5:19\n"
         "-: Type T must implement A because it is implemented by C. @ 4:28 5:19\n"
         "-: Type V must implement A because it is implemented by C. @ 4:28 6:19\n"
         "-: Type V must implement A because it is implemented by B. @ 3:24 6:23\n"
         "-: Type X cannot implement Y because it would create a circular reference. @ 8:24 7:24\n"
         "-: Type Y cannot implement X because it would create a circular reference. @ 7:24 8:24\n"},
        {"extension implements twice",
         "type Query { a: Int }\n"
         "interface I { a: Int }\n"
         "type T { a: Int }\n"
         "extend type T implements I & I\n",
         "-: Type T can only implement I once. @ 4:26 4:30\n"},
    };
    CHECK_CASES(cases);
}

static void test_interfaces_are_kept(void **state)
{
    static const schema_case cases[] = {
        {"Conformance",
         "type Query { a: Int }\n"
         "interface I { a: Int! b: [I!] c(x: Int, y: [Int!]!): I d: U e: Int missing: Int f(x: Int): Int }\n"
         "type T implements I { a: Int b: [I] c(x: Int!, z: Int!, w: Int): T d: T e: String f(x: Int y: Int! "
         "= 1 q: Int): Int }\n"
         "extend type T { g: Int }\n"
         "union U = T\n"
         "type W implements I { a: Int! b: [W!]! c(x: Int, y: [Int!]!): W! d: T! e: Int missing: Int f(x: "
         "Int): Int }\n"
         "interface K implements I { a: Int! b: [K!] c(x: Int, y: [Int!]!, z: Int!): K d: U e: Int "
         "@deprecated missing: Int f(x: Int): Int }\n",
         "-: Interface field I.a expects type Int! but T.a is type Int. @ 2:18 3:26\n"
         "-: Interface field I.b expects type [I!] but T.b is type [I]. @ 2:26 3:33\n"
         "-: Interface field argument I.c(x:) expects type Int but T.c(x:) is type Int!. @ 2:36 3:42\n"
         "-: Interface field argument I.c(y:) expected but T.c does not provide it. @ 2:41 3:37\n"
         "-: Argument \"T.c(z:)\" must not be required type \"Int!\" if not provided by the Interface field "
         "\"I.c\". @ 3:48 2:31\n"
         "-: Interface field I.e expects type Int but T.e is type String. @ 2:64 3:76\n"
         "-: Interface field I.missing expected but T does not provide it. @ 2:68 3:1 4:1\n"
         "-: Argument \"K.c(z:)\" must not be required type \"Int!\" if not provided by the Interface field "
         "\"I.c\". @ 7:66 2:31\n"
         "-: Interface field I.e is not deprecated, so implementation field K.e must not be deprecated. @ "
         "7:90 7:86\n"},
        {"arguments missing",
         "type Query { a: Int }\n"
         "interface I { f(a: Int b: Int): Int }\n"
         "type T implements I { f: Int }\n"
         "type W implements I { f(a: Int): Int }\n"
         "extend type W { g(a: Nope): Int }\n",
         "KnownTypeNames: Unknown type \"Nope\". @ 5:22\n"},
        {"covariance",
         "type Query { u: U i: I }\n"
         "interface I { x: U y: [I] z: I }\n"
         "interface K implements I { x: U y: [K!]! z: K }\n"
         "type A implements I { x: A y: [A] z: K }\n"
         "type B implements I & K { x: A y: [B!]! z: B }\n"
         "union U = A\n"
         "type C { a: Int }\n"
         "type D implements I { x: C y: C z: C }\n",
         "-: Interface field I.x expects type U but D.x is type C. @ 2:18 8:26\n"
         "-: Interface field I.y expects type [I] but D.y is type C. @ 2:23 8:31\n"
         "-: Interface field I.z expects type I but D.z is type C. @ 2:30 8:36\n"},
    };
    CHECK_CASES(cases);
}

static void test_unions(void **state)
{
    static const schema_case cases[] = {
        {"Unions",
         "type Query { a: Int }\n"
         "union U = Query | Query | I | E\n"
         "extend union U = Query | In\n"
         "interface I { a: Int }\n"
         "enum E { A }\n"
         "input In { a: Int }\n",
         "-: Union type U can only include type Query once. @ 2:11 2:19 3:18\n"
         "-: Union type U can only include Object types, it cannot include I. @ 2:27\n"
         "-: Union type U can only include Object types, it cannot include E. @ 2:31\n"
         "-: Union type U can only include type Query once. @ 2:11 2:19 3:18\n"
         "-: Union type U can only include Object types, it cannot include In. @ 3:26\n"},
    };
    CHECK_CASES(cases);
}

static void test_one_of(void **state)
{
    static const schema_case cases[] = {
        {"OneOf",
         "type Query { a(x: O = { a: 1 }, y: O = { a: null }, z: O = {}, w: O = { a: 1, b: 2 }, v: [O] = [{ "
         "b: 1 }, { c: 3 }]): Int }\n"
         "input O @oneOf { a: Int b: Int! c: Int = 3 }\n",
         "-: Query.a(x:) has invalid default value: Expected value of type \"O\" to include required field "
         "\"b\", found: { a: 1 }. @ 1:23\n"
         "-: Query.a(y:) has invalid default value: Expected value of type \"O\" to include required field "
         "\"b\", found: { a: null }. @ 1:40\n"
         "-: Query.a(y:) has invalid default value at .a: Within OneOf Input Object type \"O\", exactly one "
         "field must be specified, and the value for that field must be non-null. @ 1:40\n"
         "-: Query.a(z:) has invalid default value: Expected value of type \"O\" to include required field "
         "\"b\", found: {  }. @ 1:60\n"
         "-: Query.a(z:) has invalid default value: Within OneOf Input Object type \"O\", exactly one field "
         "must be specified, and the value for that field must be non-null. @ 1:60\n"
         "-: Query.a(w:) has invalid default value: Within OneOf Input Object type \"O\", exactly one field "
         "must be specified, and the value for that field must be non-null. @ 1:71\n"
         "-: Query.a(v:) has invalid default value at [1]: Expected value of type \"O\" to include required "
         "field \"b\", found: { c: 3 }. @ 1:107\n"
         "-: OneOf input field O.b must be nullable. @ 2:28\n"
         "-: OneOf input field O.c cannot have a default value. @ 2:33\n"},
    };
    CHECK_CASES(cases);
}

static void test_inputs_have_finite_values(void **state)
{
    static const schema_case cases[] = {
        {"Finite",
         "type Query { a: Int }\n"
         "input A { a: A! }\n"
         "input B { b: B c: [B!]! }\n"
         "input C { d: D! }\n"
         "input D { e: E! x: Int! }\n"
         "input E { c: C! f: F! }\n"
         "input F { c: C! f: F! g: B! }\n"
         "input G { h: C! }\n"
         "input O @oneOf { o: O }\n"
         "input P @oneOf { p: P q: Int }\n"
         "input R { p: O! }\n",
         "-: Input Object A cannot be provided a finite value because it references itself through fields: "
         "A.a. @ 2:11\n"
         "-: Input Object C cannot be provided a finite value because it references itself through fields: "
         "C.d, D.e, E.c. @ 4:11 5:11 6:11\n"
         "-: Input Object C cannot be provided a finite value because it references itself through fields: "
         "C.d, D.e, E.f, F.c. @ 4:11 5:11 6:17 7:11\n"
         "-: Input Object F cannot be provided a finite value because it references itself through fields: "
         "F.f. @ 7:17\n"
         "-: Input Object O cannot be provided a finite value because it references itself through fields: "
         "O.o. @ 9:18\n"},
    };
    CHECK_CASES(cases);
}

static void test_defaults_do_not_take_in_themselves(void **state)
{
    static const schema_case cases[] = {
        {"DefaultCycles",
         "type Query { a(x: A = {}): Int }\n"
         "input A { b: B = {} }\n"
         "input B { c: C = { x: 1 } z: [B] = [{ z: [] }] }\n"
         "input C { x: Int a: [A] = [{ b: null }, {}] }\n"
         "input S { s: S = {} }\n"
         "input T { t: T = { t: null } u: T = { t: {} } }\n",
         "-: Invalid circular reference. The default value of Input Object field A.b references itself via "
         "the default values of: B.c, C.a. @ 2:18 3:18 4:27\n"
         "-: Invalid circular reference. The default value of Input Object field S.s references itself. @ "
         "5:18\n"
         "-: Invalid circular reference. The default value of Input Object field T.t references itself via "
         "the default values of: T.u. @ 6:18 6:37\n"
         "-: Invalid circular reference. The default value of Input Object field T.u references itself. @ "
         "6:37\n"
         "-: Invalid circular reference. The default value of Input Object field T.u references itself. @ "
         "6:37\n"},
    };
    CHECK_CASES(cases);
}

static void test_default_values(void **state)
{
    static const schema_case cases[] = {
        {"DefaultValues",
         "type Query { f(\n"
         " a: Int = \"x\", b: Int! = null, c: Float = true, d: String = 3, e: Boolean = \"true\", f: ID = "
         "3.5\n"
         " g: E = AA, h: E = \"AB\", i: E = 3, j: [Int] = [1, \"x\", [2]], k: [[Int!]!] = [[1], null, "
         "[null]]\n"
         " l: In = 3, m: In = { a: \"x\", b: { c: 1 } }, n: In = { r: 1, b: { r: 2, zz: 3, aa: 1 } }, o: Int "
         "= 2147483648, p: Int = -2147483648\n"
         " q: Int = 99999999999999999999999, s: In = { r: true, l: [{ r: 1}, { r: \"x\" }] } t: Int = 1.0 u: "
         "String = ENUM v: Float = \"1\"\n"
         " w: Dt = {a: [1]} x: E = AB y: [E] = AC\n"
         "): Int }\n"
         "scalar Dt\n"
         "enum E { AB BC }\n"
         "input In { a: Int b: In r: Int! l: [In] }\n"
         "input In2 { a: Int = \"s\" b: [In] = [{}] }\n"
         "directive @d(a: Int = \"s\") on FIELD\n",
         "-: @d(a:) has invalid default value: Int cannot represent non-integer value: \"s\" @ 12:23\n"
         "-: Query.f(a:) has invalid default value: Int cannot represent non-integer value: \"x\" @ 2:11\n"
         "-: Query.f(b:) has invalid default value: Expected value of non-null type \"Int!\" not to be null. "
         "@ 2:26\n"
         "-: Query.f(c:) has invalid default value: Float cannot represent non numeric value: true @ 2:43\n"
         "-: Query.f(d:) has invalid default value: String cannot represent a non string value: 3 @ 2:61\n"
         "-: Query.f(e:) has invalid default value: Boolean cannot represent a non boolean value: \"true\" @ "
         "2:77\n"
         "-: Query.f(f:) has invalid default value: ID cannot represent a non-string and non-integer value: "
         "3.5 @ 2:93\n"
         "-: Query.f(g:) has invalid default value: Value \"AA\" does not exist in \"E\" enum. Did you mean "
         "the enum value \"AB\"? @ 3:9\n"
         "-: Query.f(h:) has invalid default value: Enum \"E\" cannot represent non-enum value: \"AB\". Did "
         "you mean the enum value \"AB\"? @ 3:20\n"
         "-: Query.f(i:) has invalid default value: Enum \"E\" cannot represent non-enum value: 3. @ 3:33\n"
         "-: Query.f(j:) has invalid default value at [1]: Int cannot represent non-integer value: \"x\" @ "
         "3:51\n"
         "-: Query.f(j:) has invalid default value at [2]: Int cannot represent non-integer value: [2] @ "
         "3:56\n"
         "-: Query.f(k:) has invalid default value at [1]: Expected value of non-null type \"[Int!]!\" not "
         "to be null. @ 3:83\n"
         "-: Query.f(k:) has invalid default value at [2][0]: Expected value of non-null type \"Int!\" not "
         "to be null. @ 3:90\n"
         "-: Query.f(l:) has invalid default value: Expected value of type \"In\" to be an object, found: 3. "
         "@ 4:10\n"
         "-: Query.f(m:) has invalid default value at .a: Int cannot represent non-integer value: \"x\" @ "
         "4:26\n"
         "-: Query.f(m:) has invalid default value at .b: Expected value of type \"In\" to include required "
         "field \"r\", found: { c: 1 }. @ 4:34\n"
         "-: Query.f(m:) has invalid default value at .b: Expected value of type \"In\" not to include "
         "unknown field \"c\". Did you mean \"a\", \"b\", \"l\", or \"r\"? Found: { c: 1 }. @ 4:36\n"
         "-: Query.f(m:) has invalid default value: Expected value of type \"In\" to include required field "
         "\"r\", found: { a: \"x\", b: { c: 1 } }. @ 4:21\n"
         "-: Query.f(n:) has invalid default value at .b: Expected value of type \"In\" not to include "
         "unknown field \"zz\", found: { r: 2, zz: 3, aa: 1 }. @ 4:73\n"
         "-: Query.f(n:) has invalid default value at .b: Expected value of type \"In\" not to include "
         "unknown field \"aa\". Did you mean \"a\"? Found: { r: 2, zz: 3, aa: 1 }. @ 4:80\n"
         "-: Query.f(o:) has invalid default value: Int cannot represent non 32-bit signed integer value: "
         "2147483648 @ 4:100\n"
         "-: Query.f(q:) has invalid default value: Int cannot represent non 32-bit signed integer value: "
         "99999999999999999999999 @ 5:11\n"
         "-: Query.f(s:) has invalid default value at .r: Int cannot represent non-integer value: true @ "
         "5:49\n"
         "-: Query.f(s:) has invalid default value at .l[1].r: Int cannot represent non-integer value: \"x\" "
         "@ 5:73\n"
         "-: Query.f(t:) has invalid default value: Int cannot represent non-integer value: 1.0 @ 5:91\n"
         "-: Query.f(u:) has invalid default value: String cannot represent a non string value: ENUM @ "
         "5:107\n"
         "-: Query.f(v:) has invalid default value: Float cannot represent non numeric value: \"1\" @ 5:123\n"
         "-: Query.f(y:) has invalid default value: Value \"AC\" does not exist in \"E\" enum. Did you mean "
         "the enum value \"AB\" or \"BC\"? @ 6:38\n"
         "-: In2.a has invalid default value: Int cannot represent non-integer value: \"s\" @ 11:22\n"
         "-: In2.b has invalid default value at [0]: Expected value of type \"In\" to include required field "
         "\"r\", found: {  }. @ 11:37\n"},
    };
    CHECK_CASES(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_types),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_types_of_inputs_and_outputs),
        cmocka_unit_test(test_empty_types),
        cmocka_unit_test(test_what_can_be_implemented),
        cmocka_unit_test(test_interfaces_are_kept),
        cmocka_unit_test(test_unions),
        cmocka_unit_test(test_one_of),
        cmocka_unit_test(test_inputs_have_finite_values),
        cmocka_unit_test(test_defaults_do_not_take_in_themselves),
        cmocka_unit_test(test_default_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
