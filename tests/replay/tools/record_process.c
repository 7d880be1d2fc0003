// SPDX-License-Identifier: Apache-2.0
/*
 * Makes recordings (recording.h) of a command that stops itself by SIGSTOP when it is ready, by
 * stepping it with ptrace and walking its stack. For tests' own targets only.
 *
 *     record_process [-s SKIP] [-t TAKES] [-n STEPS] [-w WORDS] [-c] FILE COMMAND [ARG...]
 *
 * SKIP steps before the first take, STEPS (default 1) between takes. With -w, a take is made only
 * where the walk gave at least WORDS words; with -c, only in compiled Lua code, whole. Build with
 * `make build/tests/replay/tools/record_process`; the recordings in tests/replay/recordings are
 * made by the script `make` in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../recording.h"
#include "../replay_process.h"

struct options {
	uint64_t skip, takes, steps, words;
	bool compiled;
	const char *file;
};

static bool is_compiled(const struct replay_result *result)
{
	uint64_t kind;
	uint32_t i;

	if (result->lua_error != LUA_OK)
		return false; /* a stack that is being moved */
	for (i = 0; i < result->word_count; i++) {
		kind = result->words[i] >> FRAME_KIND_SHIFT;
		if (kind == FRAME_KIND_LUA && result->words[i] & FRAME_LUA_COMPILED)
			return true;
		i += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
	}
	return false;
}

static int take(struct replay_process *process, struct recording *recording,
		const struct options *options)
{
	static struct replay_result result;
	struct replay *replay = process->replay;
	uint64_t thread_vm = replay->thread_vm;
	int err;

	err = replay_process__registers(process, process->pid);
	if (err)
		return err;
	replay->line_count = 0;
	replay__walk(replay, &result);
	if (result.word_count < options->words || (options->compiled && !is_compiled(&result)))
		return 0;
	return recording__add_take(recording, replay, thread_vm, &result);
}

static int record(pid_t pid, struct recording *recording, const struct options *options)
{
	struct replay_process process;
	uint64_t step;
	int err;

	err = replay_process__open(&process, pid);
	if (err)
		goto out;
	process.replay->log = true;
	for (step = 0; !err && step < options->skip; step++)
		err = replay_process__step(pid);
	while (!err && recording->take_count < options->takes) {
		err = take(&process, recording, options);
		for (step = 0; !err && step < options->steps; step++)
			err = replay_process__step(pid);
	}
	if (!err)
		err = recording__write(recording, process.replay, options->file);
out:
	replay_process__close(&process);
	return err;
}

int main(int argc, char **argv)
{
	struct options options = {.takes = 1, .steps = 1};
	struct recording recording = {};
	int option, err;
	pid_t pid;

	while ((option = getopt(argc, argv, "+s:t:n:w:c")) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 0) : 0;

		if (option == 's')
			options.skip = value;
		else if (option == 't')
			options.takes = value;
		else if (option == 'n')
			options.steps = value;
		else if (option == 'c')
			options.compiled = true;
		else if (option == 'w')
			options.words = value;
		else
			return 2;
	}
	if (argc - optind < 2)
		return 2;
	options.file = argv[optind];
	err = pid = replay_process__start(argv + optind + 1);
	if (err >= 0)
		err = replay_process__run_to_stop(pid);
	if (!err)
		err = record(pid, &recording, &options);
	if (err)
		fprintf(stderr, "record_process: %s\n", strerror(-err));
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	recording__free(&recording);
	return err ? 1 : 0;
}
