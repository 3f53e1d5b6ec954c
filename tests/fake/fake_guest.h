/*
 * A partition on the fake machine, built by the real code from a configuration text.
 */
#pragma once

#include "hv/partition.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_virt.h"

/*
 * A guest "test" with `cpus` vCPUs on CPUs 0.., 4 MiB, COM1, debug-exit 0xf4 and a flat image of
 * `code` at 0x8000; extra lines of its section may be given. Its boot vCPU has been started (one
 * turn).
 */
struct partition *fake_guest(unsigned cpus, const char *extra, const void *code, size_t len);

/* Its second-level tables; a test may put another format here. */
extern const struct npt_format *fake_guest_format;
