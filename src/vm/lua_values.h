/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of a running program as short texts, as Lua's print would show them, or about so: numbers
 * and booleans as they are, strings in quotes, of other objects what they are and where. What is
 * read may change meanwhile; an object that is none any more is told as its address.
 */
#ifndef LUASPY_LUA_VALUES_H
#define LUASPY_LUA_VALUES_H

#include "lua_heap.h"

#define LUA_VALUE_BYTES 320 /* of a text */
#define LUA_VALUE_SHOWN 60  /* bytes of a string */

struct lua_shown {
	char text[LUA_VALUE_BYTES]; /* a string's bytes that are no characters are escaped as in Lua
				     */
	/* A function object, or the code of a light one, which has no more than an address here:
	 * naming it is the caller's matter. 0: it is something else. */
	uint64_t function;
	bool is_light;
};

/*
 * The value in a slot (of heap->ops->value_size bytes). Samples:
 *
 *   nil   true   3   3.5   "a\nb"   "the first bytes of a long..." (3000 bytes)
 *   table 0x7f01c4a83f28 (3 array, 12 hash)   function 0x...   userdata 0x... (16 bytes)
 *   thread 0x...   cdata 0x... (type 96)   lightuserdata 0x...
 */
void lua_value__show(struct lua_heap *heap, const void *slot, struct lua_shown *shown);

#endif
