/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Untrusted bytes (names from a target) as text that is safe in XML, in JSON inside an HTML or SVG
 * script element, and in one line of plain text.
 */
#ifndef LUASPY_TEXT_H
#define LUASPY_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The next code point of a NUL-terminated string, which is moved on; 0 at its end. U+FFFD stands
 * for each byte that is not valid UTF-8 (RFC 3629), and for code points that must not reach a
 * reader: control characters, non-characters (not allowed in XML) and those that change the
 * direction of the text around them (a name could otherwise read as another). */
uint32_t text__next(const char **text);

/* Writes the code point as 1 to 4 bytes (no NUL) and returns their number. */
size_t text__encode(uint32_t code_point, char bytes[4]);

/* The columns that it takes on a terminal, 1 or 2: East Asian scripts and emoji are wide. Good
 * enough to keep text inside of its box. */
size_t text__columns(uint32_t code_point);

/* As plain text, with U+FFFD for what text__next does not let through. */
void text__write(FILE *out, const char *text);

/* What to show for a name: itself, or a stand-in where it is empty or NULL. */
const char *text__name(const char *name);

/* As XML character data or an attribute value in double quotes. At most `columns` wide: what does
 * not fit is replaced by an ellipsis (0: no limit). Wide characters count as two columns. */
void text__write_xml(FILE *out, const char *text, size_t columns);

/* As the inside of a JSON string. `<`, `>` and `&` are escaped, so that neither `</script>`, `<!--`
 * nor `]]>` can occur. */
void text__write_json(FILE *out, const char *text);

#endif
