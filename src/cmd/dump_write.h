/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dump as text and as JSON.
 */
#ifndef LUASPY_DUMP_WRITE_H
#define LUASPY_DUMP_WRITE_H

#include <stdio.h>

#include "dump_model.h"

struct dump_write_options {
	bool native;	 /* C frames */
	bool values;	 /* local variables were asked for */
	bool coroutines; /* coroutines were asked for */
	bool colour;
};

/* Sample output:
 *
 *   Process 9690 (nginx): nginx: worker process
 *     LuaJIT 2.1.1700206165 GC64 (/usr/lib/x86_64-linux-gnu/libluajit2-5.1.so.2.1)
 *
 *   Thread 9690 "nginx" (running)
 *       jit      count (/srv/lua/busy.lua:12)
 *           limit = 100
 *       lua      main chunk (/srv/lua/busy.lua:30)
 *       C        ngx_http_lua_run_thread (ngx_http_lua_module.so)
 *
 *   Lua VM 0x7f3d5a2c0380 (LuaJIT GC64): 2 coroutines: 1 suspended, 1 running
 *
 *   Coroutine 0x7f3d5a2e1c80 (suspended)
 *       builtin  ngx.sleep
 *       lua      wait (/srv/lua/wait.lua:3)
 */
void dump__write_text(const struct dump *self, const struct dump_write_options *options, FILE *out);

/*
 * {"processes": [{pid, name, command, lua, threads: [THREAD...], vms: [VM...], vms_complete}]}; the
 * last two with --all-coroutines. null is what is not known.
 *   THREAD     {tid, name, state, running, system_call, frames: [FRAME...] or null}
 *   VM         {global_state, runtime, complete, one_moment, coroutines: [COROUTINE...]}
 *   COROUTINE  {address, status, thread, frames}; thread: on whose stack an active one is
 *   FRAME      {type, name, file, line, first_line, estimated, address, locals, locals_note},
 *              innermost first; type is lua, jit, builtin, C, kernel or note; line and first_line
 *              of Lua's, address of C's; locals with --locals: [{name, upvalue, value, function}]
 * 0 or -ENOMEM. */
int dump__write_json(const struct dump *self, const struct dump_write_options *options, FILE *out);

#endif
