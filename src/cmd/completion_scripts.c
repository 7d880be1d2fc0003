/* SPDX-License-Identifier: Apache-2.0 */
#include "completion_scripts.h"

#include <string.h>

#include "manual.h"

/* ---- what all three need --------------------------------------------------------------------- */

/* The words of a MANUAL_WORDS text with a space between them. */
static void write_words(const char *text, FILE *out)
{
	const char *word, *before = "";
	size_t length;

	while ((length = manual__next_word(&text, &word))) {
		fprintf(out, "%s%.*s", before, (int)length, word);
		before = " ";
	}
}

static void write_names(const struct command *all, FILE *out)
{
	const char *before = "";

	for (; all->name; all++) {
		fprintf(out, "%s%s", before, all->name);
		before = " ";
	}
}

/* With a backslash before each of `special`; backquotes are for manual pages. */
static void write_escaped(const char *text, const char *special, FILE *out)
{
	for (; *text; text++) {
		if (*text == '`')
			continue;
		if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* ---- bash ------------------------------------------------------------------------------------ */

static const char bash_head[] =
	"# bash completion for luaspy, written by `luaspy completion bash`.\n"
	"\n"
	"_luaspy()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i rest=\n"
	"\tlocal options= with_value= values= value= arguments= words=\n"
	"\tCOMPREPLY=()\n"
	"\t# bash takes the = of --name=value for a word of its own.\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur=\n"
	"\telif [[ $prev == = ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n"
	"\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n";

static const char bash_tail[] =
	"\tesac\n"
	"\t# Where does what is no option begin? Behind `--`, too.\n"
	"\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n"
	"\t\t--) rest=$((i + 1)); break ;;\n"
	"\t\t=) ((i++)) ;;\n"
	"\t\t-*) [[ \" $with_value \" != *\" ${COMP_WORDS[i]} \"* || ${COMP_WORDS[i + 1]} == = ]] "
	"||\n"
	"\t\t\t((i++)) ;;\n"
	"\t\t*) rest=$i; break ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [ -z \"$rest\" ] && [[ \" $with_value \" == *\" $prev \"* ]]; then\n"
	"\t\tvalues=$value\n"
	"\telif [ -z \"$rest\" ] && [[ $cur == -* ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
	"\t\treturn\n"
	"\telse\n"
	"\t\tvalues=$arguments\n"
	"\tfi\n"
	"\tcase $values in\n"
	"\tline) [ -n \"$rest\" ] && [ \"$COMP_CWORD\" -gt \"$rest\" ] && values=files || "
	"values=commands ;;\n"
	"\tesac\n"
	"\tcase $values in\n"
	"\twords) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
	"\tpids) mapfile -t COMPREPLY < <(cd /proc && compgen -W \"$(echo [0-9]*)\" -- \"$cur\") "
	";;\n"
	"\tcommands) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n"
	"\tfiles)\n"
	"\t\tcompopt -o filenames 2> /dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"complete -F _luaspy luaspy\n";

/* Sets `variable` to what kind of values these are, and `words` to the words. */
static void write_bash_values(const char *text, const char *variable, const struct command *all,
			      FILE *out)
{
	static const char *const kinds[] = {
		[MANUAL_NOTHING] = "none",  [MANUAL_WORDS] = "words",
		[MANUAL_FILE] = "files",    [MANUAL_PID] = "pids",
		[MANUAL_COMMAND] = "words", [MANUAL_COMMAND_LINE] = "line",
	};
	enum manual_value value = manual__value(text);

	fprintf(out, "%s=%s", variable, kinds[value]);
	if (value == MANUAL_WORDS || value == MANUAL_COMMAND) {
		fputs(" words='", out);
		if (value == MANUAL_WORDS)
			write_words(text, out);
		else
			write_names(all, out);
		fputc('\'', out);
	}
}

/* "-o --output", with or without those that take no argument. */
static void write_bash_options(const struct manual *manual, bool flags, FILE *out)
{
	const struct manual_option *option;
	const char *before = "";
	size_t i;

	for (i = 0; i < manual->count; i++) {
		option = &manual->options[i];
		if (!flags && (!option->arg || option->arg_optional))
			continue;
		if (option->letter) {
			fprintf(out, "%s-%c", before, option->letter);
			before = " ";
		}
		if (option->name) {
			fprintf(out, "%s--%s", before, option->name);
			before = " ";
		}
	}
}

static void write_bash_command(const struct manual *manual, const struct command *command,
			       const struct command *all, FILE *out)
{
	const struct manual_option *option;
	size_t i;

	fprintf(out, "\t%s)\n\t\toptions='", command->name);
	write_bash_options(manual, true, out);
	fputs("'\n\t\twith_value='", out);
	write_bash_options(manual, false, out);
	fputs("'\n\t\t", out);
	write_bash_values(manual->argp->args_doc, "arguments", all, out);
	fputs("\n\t\tcase $prev in\n", out);
	for (i = 0; i < manual->count; i++) {
		option = &manual->options[i];
		if (!option->arg || option->arg_optional)
			continue;
		fputs("\t\t", out);
		if (option->letter)
			fprintf(out, "-%c", option->letter);
		if (option->letter && option->name)
			fputs(" | ", out);
		if (option->name)
			fprintf(out, "--%s", option->name);
		fputs(") ", out);
		write_bash_values(option->arg, "value", all, out);
		fputs(" ;;\n", out);
	}
	fputs("\t\tesac ;;\n", out);
}

int completion_script__bash(const struct command *all, FILE *out)
{
	const struct command *command;
	struct manual *manual;
	int err;

	fputs(bash_head, out);
	fputs("\t\tmapfile -t COMPREPLY < <(compgen -W '", out);
	write_names(all, out);
	fputs(" --help --version' -- \"$cur\")\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n",
	      out);
	for (command = all; command->name; command++) {
		err = manual__new(command->argp, &manual);
		if (err)
			return err;
		write_bash_command(manual, command, all, out);
		manual__free(manual);
	}
	fputs(bash_tail, out);
	return 0;
}

/* ---- zsh ------------------------------------------------------------------------------------- */

#define ZSH_SPECIAL "\\[]:"

/* Inside single quotes. */
static void write_zsh_text(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (*text != '`')
			fprintf(out, "%s%c", strchr(ZSH_SPECIAL, *text) ? "\\" : "", *text);
	}
}

/* ":message:action" of an option's argument. */
static void write_zsh_value(const char *text, FILE *out)
{
	fputc(':', out);
	write_zsh_text(text, out);
	switch (manual__value(text)) {
	case MANUAL_WORDS:
		fputs(":(", out);
		write_words(text, out);
		fputc(')', out);
		break;
	case MANUAL_FILE:
		fputs(":_files", out);
		break;
	case MANUAL_PID:
		fputs(":_pids", out);
		break;
	default:
		/* Nothing to offer: a space, for an empty action would mean none. */
		fputs(": ", out);
	}
}

/* Those with an argument may be given again. */
static void write_zsh_option(const struct manual_option *option, FILE *out)
{
	const char *short_end = option->arg ? "+" : "", *long_end = option->arg ? "=" : "";

	fputs("\t\t\t", out);
	if (option->letter && option->name && !option->arg)
		fprintf(out, "'(-%c --%s)'{-%s%c,--%s}", option->letter, option->name,
			option->letter == '?' ? "\\" : "", option->letter, option->name);
	else if (option->letter && option->name)
		fprintf(out, "'*'{-%c%s,--%s%s}", option->letter, short_end, option->name,
			long_end);
	else if (option->name)
		fprintf(out, "%s--%s%s", option->arg ? "'*'" : "", option->name, long_end);
	else
		fprintf(out, "%s-%c%s", option->arg ? "'*'" : "", option->letter, short_end);
	fputs("'[", out);
	write_zsh_text(option->doc, out);
	fputc(']', out);
	if (option->arg) {
		if (option->arg_optional)
			fputc(':', out);
		write_zsh_value(option->arg, out);
	}
	fputs("' \\\n", out);
}

static void write_zsh_arguments(const char *text, const struct command *all, FILE *out)
{
	switch (manual__value(text)) {
	case MANUAL_COMMAND_LINE:
		fputs("\t\t\t'(-)1:command: _command_names -e' '*::argument: _normal'", out);
		break;
	case MANUAL_COMMAND:
		fputs("\t\t\t'1:command:(", out);
		write_names(all, out);
		fputs(")'", out);
		break;
	case MANUAL_WORDS:
		fputs("\t\t\t'1:argument:(", out);
		write_words(text, out);
		fputs(")'", out);
		break;
	case MANUAL_FILE:
		fputs("\t\t\t'*:file:_files'", out);
		break;
	default:
		fputs("\t\t\t", out);
	}
	fputs(" ;;\n", out);
}

int completion_script__zsh(const struct command *all, FILE *out)
{
	const struct command *command;
	struct manual *manual;
	size_t i;
	int err;

	fputs("#compdef luaspy\n"
	      "# zsh completion for luaspy, written by `luaspy completion zsh`.\n"
	      "\n"
	      "_luaspy()\n"
	      "{\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\tlocal -a commands\n"
	      "\t\tcommands=(\n",
	      out);
	for (command = all; command->name; command++) {
		fprintf(out, "\t\t\t'%s:", command->name);
		write_zsh_text(command->summary, out);
		fputs("'\n", out);
	}
	fputs("\t\t)\n"
	      "\t\t_describe -t commands 'luaspy command' commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $words[1] in\n",
	      out);
	for (command = all; command->name; command++) {
		err = manual__new(command->argp, &manual);
		if (err)
			return err;
		fprintf(out, "\t%s)\n\t\t_arguments -s -S : \\\n", command->name);
		for (i = 0; i < manual->count; i++)
			write_zsh_option(&manual->options[i], out);
		write_zsh_arguments(command->argp->args_doc, all, out);
		manual__free(manual);
	}
	fputs("\tesac\n"
	      "}\n"
	      "\n"
	      "# Autoloaded from fpath, or read by `source`?\n"
	      "if [ \"$funcstack[1]\" = _luaspy ]; then\n"
	      "\t_luaspy \"$@\"\n"
	      "else\n"
	      "\tcompdef _luaspy luaspy\n"
	      "fi\n",
	      out);
	return 0;
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void write_fish_value(const char *text, const struct command *all, FILE *out)
{
	switch (manual__value(text)) {
	case MANUAL_WORDS:
		fputs(" -x -a '", out);
		write_words(text, out);
		fputc('\'', out);
		break;
	case MANUAL_COMMAND:
		fputs(" -x -a '", out);
		write_names(all, out);
		fputc('\'', out);
		break;
	case MANUAL_FILE:
		fputs(" -r -F", out);
		break;
	case MANUAL_PID:
		fputs(" -x -a '(__fish_complete_pids)'", out);
		break;
	default:
		fputs(" -x", out);
	}
}

static void write_fish_command(const struct manual *manual, const struct command *command,
			       const struct command *all, FILE *out)
{
	const struct manual_option *option;
	const char *text = command->argp->args_doc;
	enum manual_value value = manual__value(text);
	size_t i;

	for (i = 0; i < manual->count; i++) {
		option = &manual->options[i];
		fprintf(out, "complete -c luaspy -n '__fish_seen_subcommand_from %s'",
			command->name);
		if (option->letter)
			fprintf(out, " -s '%c'", option->letter);
		if (option->name)
			fprintf(out, " -l %s", option->name);
		if (option->arg && !option->arg_optional)
			write_fish_value(option->arg, all, out);
		fputs(" -d '", out);
		write_escaped(option->doc, "\\'", out);
		fputs("'\n", out);
	}
	if (value == MANUAL_NOTHING)
		return;
	fprintf(out, "complete -c luaspy -n '__fish_seen_subcommand_from %s%s'", command->name,
		value == MANUAL_COMMAND_LINE ? "; and contains -- -- (commandline -opc)" : "");
	if (value == MANUAL_COMMAND_LINE)
		fputs(" -F -a '(__fish_complete_command)'", out);
	else
		write_fish_value(text, all, out);
	fputc('\n', out);
}

int completion_script__fish(const struct command *all, FILE *out)
{
	const struct command *command;
	struct manual *manual;
	int err;

	fputs("# fish completion for luaspy, written by `luaspy completion fish`.\n"
	      "complete -c luaspy -f\n"
	      "complete -c luaspy -n __fish_use_subcommand -l help -d 'show the commands'\n"
	      "complete -c luaspy -n __fish_use_subcommand -l version -d 'show the version'\n",
	      out);
	for (command = all; command->name; command++) {
		fprintf(out, "complete -c luaspy -n __fish_use_subcommand -a %s -d '",
			command->name);
		write_escaped(command->summary, "\\'", out);
		fputs("'\n", out);
	}
	for (command = all; command->name; command++) {
		err = manual__new(command->argp, &manual);
		if (err)
			return err;
		write_fish_command(manual, command, all, out);
		manual__free(manual);
	}
	return 0;
}
