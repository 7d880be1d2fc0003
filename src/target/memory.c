/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <sys/uio.h>

int memory__read(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	struct iovec local = {.iov_base = bytes, .iov_len = size};
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): an address in another process */
	struct iovec remote = {.iov_base = (void *)address, .iov_len = size};
	ssize_t done = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	if (done < 0)
		return -errno;
	return (size_t)done == size ? 0 : -EFAULT;
}
