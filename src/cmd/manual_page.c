/* SPDX-License-Identifier: Apache-2.0 */
#include "manual_page.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "manual.h"

/* ---- texts ----------------------------------------------------------------------------------- */

/* Everything that roff would take for something else than itself. Not for what begins a line. */
static void write_char(char c, FILE *out)
{
	switch (c) {
	case '\\':
		fputs("\\e", out);
		break;
	case '-':
		fputs("\\-", out);
		break;
	case '\'':
		fputs("\\(aq", out);
		break;
	case '`':
		fputs("\\(ga", out);
		break;
	case '^':
		fputs("\\(ha", out);
		break;
	case '~':
		fputs("\\(ti", out);
		break;
	default:
		fputc(c, out);
	}
}

static void write_plain(const char *text, size_t length, FILE *out)
{
	size_t i;

	for (i = 0; i < length; i++)
		write_char(text[i], out);
}

/* Where the source of a page goes to the next line; roff fills the lines that are seen. */
#define SOURCE_COLUMNS 60

/* Prose: what stands between backquotes is bold. */
static void write_prose(const char *text, size_t length, FILE *out)
{
	bool bold = false, begins = true;
	size_t i, column = 0;

	for (i = 0; i < length; i++, column++) {
		if (text[i] == ' ' && column >= SOURCE_COLUMNS) {
			fputc('\n', out);
			begins = true;
			column = 0;
			continue;
		}
		if (begins && (text[i] == '.' || text[i] == '\'' || text[i] == ' '))
			fputs("\\&", out); /* else it would be a request */
		begins = false;
		if (text[i] == '`') {
			bold = !bold;
			fputs(bold ? "\\fB" : "\\fR", out);
		} else {
			write_char(text[i], out);
		}
	}
	fputs(bold ? "\\fR\n" : "\n", out);
}

static void write_bold(const char *text, size_t length, FILE *out)
{
	fputs("\\fB", out);
	write_plain(text, length, out);
	fputs("\\fR", out);
}

static void write_upper(const char *text, size_t length, FILE *out)
{
	size_t i;

	for (i = 0; i < length; i++)
		write_char((char)toupper((unsigned char)text[i]), out);
}

static void write_heading(const struct manual_page *self, const char *command, FILE *out)
{
	fputs(".\\\" Made from the tables of `luaspy --help`; the source is there.\n", out);
	fputs(".TH LUASPY", out);
	if (command) {
		fputs("\\-", out);
		write_upper(command, strlen(command), out);
	}
	fprintf(out, " 1 %s \"luaspy ", self->date);
	write_plain(self->version, strlen(self->version), out);
	fputs("\" \"luaspy\"\n.SH NAME\nluaspy", out);
	if (command) {
		fputs("\\-", out);
		write_plain(command, strlen(command), out);
	}
}

static void write_see_also(const struct manual_page *self, const struct command *but, FILE *out)
{
	const struct command *command;
	const char *before = "";

	fputs(".SH SEE ALSO\n", out);
	if (but) {
		fputs(".BR luaspy (1)", out);
		before = ",\n";
	}
	for (command = self->commands; command->name; command++) {
		if (but && command == but)
			continue;
		fprintf(out, "%s.BR luaspy\\-%s (1)", before, command->name);
		before = ",\n";
	}
	fputc('\n', out);
}

/* ---- the parts of a command's page ----------------------------------------------------------- */

static void write_synopsis(const struct command *command, FILE *out)
{
	const char *line = command->argp->args_doc ? command->argp->args_doc : "", *end;

	fputs(".SH SYNOPSIS\n", out);
	do {
		end = strchrnul(line, '\n');
		fputs(".B luaspy ", out);
		write_plain(command->name, strlen(command->name), out);
		fputs("\n[\\fIOPTION\\fR...]", out);
		if (end > line) {
			fputc(' ', out);
			write_plain(line, (size_t)(end - line), out);
		}
		fputc('\n', out);
		line = end + 1;
		if (*end)
			fputs(".br\n", out);
	} while (*end);
}

static void write_option(const struct manual_option *option, FILE *out)
{
	const char *opening = option->arg_optional ? "[" : "", *closing = *opening ? "]" : "";

	fputs(".TP\n", out);
	if (option->letter) {
		fputs("\\fB\\-", out);
		write_char(option->letter, out);
		fputs("\\fR", out);
	}
	if (option->letter && option->name)
		fputs(", ", out);
	if (option->name) {
		fputs("\\fB\\-\\-", out);
		write_plain(option->name, strlen(option->name), out);
		fputs("\\fR", out);
	}
	if (option->arg) {
		fprintf(out, "%s%s\\fI", opening, option->name ? "=" : " ");
		write_plain(option->arg, strlen(option->arg), out);
		fprintf(out, "\\fR%s", closing);
	}
	fputc('\n', out);
	write_prose(option->doc, strlen(option->doc), out);
}

static void write_options(const struct manual *manual, FILE *out)
{
	const struct manual_option *option;
	bool under_header = false;
	size_t i;

	fputs(".SH OPTIONS\n", out);
	for (i = 0; i < manual->count; i++) {
		option = &manual->options[i];
		if (option->header) {
			fputs(".SS ", out);
			/* "What to profile:" */
			write_plain(option->header, strcspn(option->header, ":"), out);
			fputc('\n', out);
			under_header = true;
		} else if (under_header && option->begins_group) {
			fputs(".SS Other options\n", out);
			under_header = false;
		}
		write_option(option, out);
	}
}

/* Of the text behind \v: either its sections, or its prose (manual.h). `begins`: nothing stands
 * before it. */
static void write_paragraphs(const char *text, bool sections, bool begins, FILE *out)
{
	const char *line, *end, *term;
	bool in_section = false;

	for (line = text; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (end > line && end[-1] == ':' && strncmp(end, "\n  ", 3) == 0) {
			in_section = true;
			if (sections) {
				fputs(".SH ", out);
				write_upper(line, (size_t)(end - line) - 1, out);
				fputc('\n', out);
			}
			continue;
		}
		in_section &= strncmp(line, "  ", 2) == 0;
		if (in_section != sections || line == end)
			continue;
		if (!in_section) {
			fputs(begins ? "" : ".PP\n", out);
			begins = false;
			write_prose(line, (size_t)(end - line), out);
			continue;
		}
		line += strspn(line, " ");
		term = strstr(line, "  ");
		if (!term || term > end)
			term = end;
		fputs(term == end ? ".PP\n" : ".TP\n", out);
		write_bold(line, (size_t)(term - line), out);
		fputc('\n', out);
		term += strspn(term, " ");
		if (term < end)
			write_prose(term, (size_t)(end - term), out);
	}
}

static void write_exit_status(FILE *out)
{
	fputs(".SH EXIT STATUS\n"
	      ".TP\n0\nIt did what was asked for.\n"
	      ".TP\n1\nIt could not; a message says why, and what to do.\n"
	      ".TP\n2\nThe command line is wrong.\n",
	      out);
}

/* ---- pages ----------------------------------------------------------------------------------- */

int manual_page__write(const struct manual_page *self, const struct command *command, FILE *out)
{
	const char *doc = command->argp->doc ? command->argp->doc : "", *behind;
	struct manual *manual;
	int err = manual__new(command->argp, &manual);

	if (err)
		return err;
	behind = strchrnul(doc, '\v');
	write_heading(self, command->name, out);
	fputs(" \\- ", out);
	write_prose(command->summary, strlen(command->summary), out);
	write_synopsis(command, out);
	fputs(".SH DESCRIPTION\n", out);
	write_prose(doc, (size_t)(behind - doc), out);
	behind += *behind != '\0';
	write_paragraphs(behind, false, false, out);
	write_options(manual, out);
	write_exit_status(out);
	write_paragraphs(behind, true, false, out);
	write_see_also(self, command, out);
	manual__free(manual);
	return 0;
}

void manual_page__write_overview(const struct manual_page *self, FILE *out)
{
	const struct command *command;

	write_heading(self, NULL, out);
	fputs(" \\- ", out);
	write_plain(self->summary, strlen(self->summary), out);
	fputs("\n.SH SYNOPSIS\n.B luaspy\n\\fICOMMAND\\fR [\\fIOPTION\\fR...]\n"
	      ".SH DESCRIPTION\n",
	      out);
	write_paragraphs(self->about, false, true, out);
	fputs(".SH COMMANDS\n", out);
	for (command = self->commands; command->name; command++) {
		fprintf(out, ".TP\n.BR luaspy\\-%s (1)\n", command->name);
		write_prose(command->summary, strlen(command->summary), out);
	}
	write_exit_status(out);
	write_see_also(self, NULL, out);
}
