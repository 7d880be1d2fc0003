/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80

size_t terminal__width(size_t otherwise)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return otherwise;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return DEFAULT_WIDTH;
	return size.ws_col;
}
