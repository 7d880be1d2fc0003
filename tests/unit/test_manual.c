/* SPDX-License-Identifier: Apache-2.0 */
/* What manual pages and completions are made from: argp tables with all that argp allows in them.
 */
#include <stdlib.h>

#include "../test.h"
#include "cmd/completion_scripts.h"
#include "cmd/manual.h"
#include "cmd/manual_page.h"

static const struct argp_option child_options[] = {
	{"pid", 'p', "PID", 0, "a process", 2},
	{"name", 'n', "PATTERN", 0, "a name", 1},
	{0},
};
static const struct argp child = {.options = child_options};

static const struct argp_option options[] = {
	{"last", 300, 0, 0, "the last but argp's own", 9},
	{0, 0, 0, 0, "Output:", 3},
	{"output", 'o', "FILE", 0, "it's `-` for stdout: \\ or [x]", 0},
	{"to", 't', 0, OPTION_ALIAS, 0, 0},
	{"secret", 301, 0, OPTION_HIDDEN, "not to be seen", 3},
	{"color", 302, "always|never", OPTION_ARG_OPTIONAL, "colours", 3},
	{0, 'x', 0, 0, "only a letter", 1},
	{0},
};
static const struct argp_child children[] = {{&child, 0, "What to look at:", 1}, {0}};
static const struct argp argp = {
	.options = options,
	.children = children,
	.args_doc = "FIRST\nFILE SECOND",
	.doc = "Does 'this'.\v.And \\that.\nTerms:\n  one  the first\n  two\n"};

static const struct command all[] = {{"try", NULL, &argp, "try it"}, {0}};

static void keeps_the_order_of_help(void)
{
	/* By argp's rules: group 1, where the table's own come before the child's; 3; 9; -1. */
	static const char *const expected[] = {NULL,	"name", "pid",	"output", "to",
					       "color", "last", "help", "usage"};
	struct manual *manual;
	size_t i;

	CHECK_EQ(manual__new(&argp, &manual), 0);
	CHECK_EQ(manual->count, sizeof(expected) / sizeof(expected[0]));
	for (i = 0; i < manual->count && i < sizeof(expected) / sizeof(expected[0]); i++)
		CHECK_STR(manual->options[i].name, expected[i]);
	CHECK_EQ(manual->options[0].letter, 'x');
	CHECK_EQ(manual->options[5].letter, 0);
	CHECK_STR(manual->options[3].header, "Output:");
	CHECK_STR(manual->options[3].arg, "FILE");
	CHECK_STR(manual->options[4].arg, "FILE"); /* an alias of it */
	CHECK_STR(manual->options[4].doc, options[2].doc);
	CHECK(manual->options[5].arg_optional && manual->options[5].arg);
	CHECK(manual->options[3].begins_group && !manual->options[4].begins_group);
	CHECK(manual->options[6].begins_group && manual->options[7].begins_group);
	manual__free(manual);
}

static void the_childs_header_is_over_its_first(void)
{
	struct manual *manual;

	CHECK_EQ(manual__new(&argp, &manual), 0);
	CHECK_STR(manual->options[1].header, "What to look at:");
	CHECK_STR(manual->options[2].header, NULL);
	manual__free(manual);
	manual__free(NULL);
}

static void knows_what_an_argument_may_be(void)
{
	const char *text = "html|svg[,...]", *word;

	CHECK_EQ(manual__value(NULL), MANUAL_NOTHING);
	CHECK_EQ(manual__value("html|svg|folded"), MANUAL_WORDS);
	CHECK_EQ(manual__value("vmstate"), MANUAL_WORDS);
	CHECK_EQ(manual__value("pid|thread[,...]"), MANUAL_WORDS);
	CHECK_EQ(manual__value("SECONDS"), MANUAL_NOTHING);
	CHECK_EQ(manual__value("ID|NAME"), MANUAL_NOTHING);
	CHECK_EQ(manual__value("PID[,PID...]"), MANUAL_PID);
	CHECK_EQ(manual__value("FILE"), MANUAL_FILE);
	CHECK_EQ(manual__value("PATH"), MANUAL_FILE);
	CHECK_EQ(manual__value("[-- COMMAND [ARG...]]"), MANUAL_COMMAND_LINE);
	CHECK_EQ(manual__value("[COMMAND]"), MANUAL_COMMAND);
	CHECK_EQ(manual__next_word(&text, &word), 4);
	CHECK(strncmp(word, "html", 4) == 0);
	CHECK_EQ(manual__next_word(&text, &word), 3);
	CHECK(strncmp(word, "svg", 3) == 0);
	CHECK_EQ(manual__next_word(&text, &word), 0);
}

static char *text_of(int (*write)(const struct command *commands, FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	CHECK_EQ(write(all, out), 0);
	fclose(out);
	return text;
}

static int write_page(const struct command *command, FILE *out)
{
	const struct manual_page page = {.commands = all,
					 .version = "1-2",
					 .date = "2026-01-31",
					 .summary = "s",
					 .about = "a"};

	return manual_page__write(&page, command, out);
}

static void hides_nothing_from_roff(void)
{
	char *text = text_of(write_page);

	CHECK(strstr(text, ".TH LUASPY\\-TRY 1 2026-01-31 \"luaspy 1\\-2\"") != NULL);
	/* A line that begins with a point or an apostrophe would be a request. */
	CHECK(strstr(text, "\n\\&.And \\ethat.\n") != NULL);
	CHECK(strstr(text, "Does \\(aqthis\\(aq.") != NULL);
	CHECK(strstr(text, "it\\(aqs \\fB\\-\\fR for stdout: \\e or [x]") != NULL);
	CHECK(strstr(text, ".SH TERMS\n.TP\n\\fBone\\fR\nthe first\n.PP\n\\fBtwo\\fR\n") != NULL);
	CHECK(strstr(text, "FIRST\n.br\n.B luaspy try\n[\\fIOPTION\\fR...] FILE SECOND\n") != NULL);
	CHECK(strstr(text, "\\fB\\-\\-color\\fR[=\\fIalways|never\\fR]") != NULL);
	CHECK(strstr(text, "secret") == NULL);
	free(text);
}

static void quotes_for_each_shell(void)
{
	char *text = text_of(completion_script__zsh);

	CHECK(strstr(text, "[it'\\''s - for stdout\\: \\\\ or \\[x\\]]:FILE:_files") != NULL);
	CHECK(strstr(text, "secret") == NULL);
	free(text);
	text = text_of(completion_script__fish);
	CHECK(strstr(text, "-s 'o' -l output -r -F -d 'it\\'s - for stdout: \\\\ or [x]'") != NULL);
	free(text);
	text = text_of(completion_script__bash);
	CHECK(strstr(text, "with_value='-n --name -p --pid -o --output -t --to'") != NULL);
	free(text);
}

int main(void)
{
	RUN(keeps_the_order_of_help, "options stand as in --help, but unsorted within a group");
	RUN(the_childs_header_is_over_its_first, "a child's header stands over its first option");
	RUN(knows_what_an_argument_may_be, "an argument's text tells what may stand there");
	RUN(hides_nothing_from_roff, "a manual page's text is not taken for requests");
	RUN(quotes_for_each_shell, "completions are quoted as each shell wants it");
	return TEST_RESULT();
}
