/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host of many PUC Lua VMs, for test_puc_vms.py, which compiles it with each release's library:
 *
 *     puc_vms MODE FOLDER     MODE: one, threads, pool
 *
 * VM n runs FOLDER/vm_n.lua, and is entered by the C function enter_n only. In mode "one" all run
 * in one thread, and each calls the next one from inside; "threads": each thread has its own; in
 * "pool" the threads take them in turn, so that they go from thread to thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define VMS	24
#define THREADS 8

static lua_State *vms[VMS];
static pthread_mutex_t locks[VMS];
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static int next_vm;
static volatile int sink; /* behind each call, so that it is not the function's last act */

#define ENTER(n)                                                                                   \
	__attribute__((noinline)) void enter_##n(void);                                            \
	void enter_##n(void)                                                                       \
	{                                                                                          \
		lua_getglobal(vms[n], "run_" #n);                                                  \
		lua_call(vms[n], 0, 0);                                                            \
		sink++;                                                                            \
	}
#define EIGHT(f, a, b, c, d, e, g, h, i) f(a) f(b) f(c) f(d) f(e) f(g) f(h) f(i)
#define ALL(f)                                                                                     \
	EIGHT(f, 0, 1, 2, 3, 4, 5, 6, 7)                                                           \
	EIGHT(f, 8, 9, 10, 11, 12, 13, 14, 15)                                                     \
	EIGHT(f, 16, 17, 18, 19, 20, 21, 22, 23)
ALL(ENTER)
#define NAME(n) enter_##n,
static void (*const enter[VMS])(void) = {ALL(NAME)};

/* call_back(f, ...): calls a Lua function from C. */
static int call_back(lua_State *L)
{
	lua_call(L, lua_gettop(L) - 1, 1);
	sink++;
	return 1;
}

/* visit(n): runs another VM from inside this one. */
static int visit(lua_State *L)
{
	int n = (int)lua_tointeger(L, 1);

	if (n < VMS)
		enter[n]();
	sink++;
	return 0;
}

static int load(int n, const char *folder, int is_one)
{
	lua_State *L = luaL_newstate();
	char path[512];

	snprintf(path, sizeof(path), "%s/vm_%d.lua", folder, n);
	luaL_openlibs(L);
	lua_pushcfunction(L, call_back);
	lua_setglobal(L, "call_back");
	if (is_one) {
		lua_pushcfunction(L, visit);
		lua_setglobal(L, "visit");
	}
	vms[n] = L;
	pthread_mutex_init(&locks[n], NULL);
	if (luaL_loadfile(L, path) || lua_pcall(L, 0, 0, 0)) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return -1;
	}
	return 0;
}

static void *own(void *thread)
{
	for (;;) {
		for (int n = (int)(long)thread; n < VMS; n += THREADS)
			enter[n]();
	}
	return NULL;
}

static void *pool(void *thread)
{
	int n;

	for (;;) {
		pthread_mutex_lock(&queue_lock);
		n = next_vm++ % VMS;
		pthread_mutex_unlock(&queue_lock);
		if (pthread_mutex_trylock(&locks[n]))
			continue;
		enter[n]();
		pthread_mutex_unlock(&locks[n]);
	}
	return NULL;
}

int main(int argc, char *argv[])
{
	int is_one = argc == 3 && strcmp(argv[1], "one") == 0;
	void *(*run)(void *) = argc == 3 && strcmp(argv[1], "pool") == 0 ? pool : own;
	pthread_t thread;

	if (argc != 3)
		return 2;
	for (int n = 0; n < VMS; n++) {
		if (load(n, argv[2], is_one))
			return 1;
	}
	while (is_one)
		enter[0]();
	for (long t = 1; t < THREADS; t++)
		pthread_create(&thread, NULL, run, (void *)t);
	run(NULL);
}
