/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUASPY_SAMPLER_ERRORS_H
#define LUASPY_SAMPLER_ERRORS_H

/* Says on stderr why luaspy's BPF programs could not be loaded, and what to do: `err` is that of
 * sampler__new, thread_states__new or process_info__check_proc. */
void sampler_errors__print(int err);

#endif
