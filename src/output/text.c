// SPDX-License-Identifier: Apache-2.0
/* Decoding and escaping of untrusted text. Knows nothing of profiles. */
#include "text.h"

#include <stdbool.h>

#define REPLACEMENT 0xfffdu
#define ELLIPSIS    0x2026u

static bool shown(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c == 0x2028 || c == 0x2029) /* line and paragraph separators */
		return false;
	if (c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069)) /* bidirectional controls */
		return false;
	if ((c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef) || c == 0xfeff)
		return false;
	return true;
}

uint32_t text__next(const char **text)
{
	const unsigned char *p = (const unsigned char *)*text;
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = *p;
	int length;

	if (!c)
		return 0;
	*text += 1;
	if (c < 0x80)
		return shown(c) ? c : REPLACEMENT;
	if (c >= 0xf8 || c < 0xc0)
		return REPLACEMENT;
	length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	c &= 0x7fu >> length;
	for (int i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80) /* also stops at the NUL */
			return REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return REPLACEMENT;
	*text += length - 1;
	return shown(c) ? c : REPLACEMENT;
}

size_t text__encode(uint32_t c, char bytes[4])
{
	if (c < 0x80) {
		bytes[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		bytes[0] = (char)(0xc0 | c >> 6);
		bytes[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		bytes[0] = (char)(0xe0 | c >> 12);
		bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	bytes[0] = (char)(0xf0 | c >> 18);
	bytes[1] = (char)(0x80 | (c >> 12 & 0x3f));
	bytes[2] = (char)(0x80 | (c >> 6 & 0x3f));
	bytes[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t text__columns(uint32_t c)
{
	return (c >= 0x1100 && c < 0x1200) || (c >= 0x2e80 && c < 0xd800) ||
			       (c >= 0xf900 && c < 0xfb00) || (c >= 0xff00 && c < 0xff61) ||
			       c >= 0x1f000
		       ? 2
		       : 1;
}

void text__write(FILE *out, const char *text)
{
	char bytes[4] = {};
	uint32_t c;

	while ((c = text__next(&text)))
		fwrite(bytes, 1, text__encode(c, bytes), out);
}

const char *text__name(const char *name)
{
	return name && *name ? name : "(no name)";
}

static void put(FILE *out, uint32_t c)
{
	char bytes[4];

	if (c < 0x80)
		putc_unlocked((int)c, out);
	else
		fwrite_unlocked(bytes, 1, text__encode(c, bytes), out);
}

static bool fits(const char *text, size_t columns)
{
	uint32_t c;

	while ((c = text__next(&text))) {
		if (text__columns(c) > columns)
			return false;
		columns -= text__columns(c);
	}
	return true;
}

void text__write_xml(FILE *out, const char *text, size_t columns)
{
	bool whole = !columns || fits(text, columns);
	uint32_t c;

	while ((c = text__next(&text))) {
		if (!whole) {
			/* One column is kept for the ellipsis. */
			if (text__columns(c) + 1 > columns) {
				put(out, ELLIPSIS);
				return;
			}
			columns -= text__columns(c);
		}
		switch (c) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			put(out, c);
		}
	}
}

void text__write_json(FILE *out, const char *text)
{
	uint32_t c;

	while ((c = text__next(&text))) {
		if (c == '<' || c == '>' || c == '&') {
			fprintf(out, "\\u%04x", c);
			continue;
		}
		if (c == '"' || c == '\\')
			putc_unlocked('\\', out);
		put(out, c);
	}
}
