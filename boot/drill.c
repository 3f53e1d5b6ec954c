/*
 * Faults on request: see main.h. Called by main.c; no state.
 */
#include "boot/main.h"
#include "hv/log.h"

/* A push where there is no stack: the page fault cannot be delivered there either. */
static void double_fault(void)
{
	__asm__ volatile("xor %%esp, %%esp\n\tpush %%rsp" : : : "memory");
}

static void hang(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void drill(const struct boot_info *b)
{
	const bool drill_panic = boot_option(b, "drill=panic");

	bug_on(drill_panic);
	if (boot_option(b, "drill=double-fault")) {
		double_fault();
	}
	if (boot_option(b, "drill=hang")) {
		hang();
	}
}
