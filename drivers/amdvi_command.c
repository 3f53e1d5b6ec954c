/*
 * AMD-Vi: the command buffer. Called by amdvi.c on any CPU; the unit's lock makes callers take
 * turns.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"

/* In bits 63:60 of the low half. */
enum amdvi_command {
	COMPLETION_WAIT = 1,
	INVALIDATE_DEVTAB_ENTRY = 2,
	INVALIDATE_IOMMU_PAGES = 3,
	INVALIDATE_INTERRUPT_TABLE = 5,
	INVALIDATE_IOMMU_ALL = 8,
};

#define OPCODE	     FIELD(63, 60)
#define WAIT_STORE   BIT(0)
#define PAGES_DOMAIN FIELD(47, 32)
#define PAGES_ALL    (FIELD(62, 12) | BIT(0) | BIT(1)) /* with size bit, and directories */

enum { SLOTS = 256, SLOTS_LOG2 = 8, DONE = 1 };
_Static_assert(SLOTS * sizeof(struct amdvi_pair) == PAGE_SIZE, "the buffer is a page");

void amdvi_commands_init(struct amdvi_unit *u)
{
	u->tail = 0;
	amdvi_write(u, AMDVI_COMMANDS, u->memory.v | field_put(AMDVI_LENGTH, SLOTS_LOG2));
	amdvi_write(u, AMDVI_COMMAND_HEAD, 0);
	amdvi_write(u, AMDVI_COMMAND_TAIL, 0);
}

static void put(struct amdvi_unit *u, enum amdvi_command c, uint64_t low, uint64_t high)
{
	u->commands[u->tail] = (struct amdvi_pair){low | field_put(OPCODE, c), high};
	u->tail = (u->tail + 1) % SLOTS;
}

/* Hands over what was put, and waits until a completion behind it has been stored. */
static bool run(struct amdvi_unit *u)
{
	uint64_t limit = host_tsc() + host_tsc_hz;
	uint64_t at = u->memory.v + 2 * PAGE_SIZE;

	__atomic_store_n(u->done, 0, __ATOMIC_RELEASE);
	put(u, COMPLETION_WAIT, at | WAIT_STORE, DONE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	amdvi_write(u, AMDVI_COMMAND_TAIL, u->tail * sizeof(struct amdvi_pair));
	while (__atomic_load_n(u->done, __ATOMIC_ACQUIRE) != DONE) {
		if (host_tsc() > limit) {
			return false;
		}
		host_relax();
	}
	return true;
}

static void put_domain(struct amdvi_unit *u, uint16_t domain)
{
	put(u, INVALIDATE_IOMMU_PAGES, field_put(PAGES_DOMAIN, domain), PAGES_ALL);
}

/* Without the command for all: every device and every domain, by half buffers. */
static bool flush_one_by_one(struct amdvi_unit *u)
{
	for (unsigned first = 0; first < AMDVI_DEVICES; first += SLOTS / 4) {
		for (unsigned i = first; i < first + SLOTS / 4; i++) {
			put(u, INVALIDATE_DEVTAB_ENTRY, i, 0);
			put(u, INVALIDATE_INTERRUPT_TABLE, i, 0);
		}
		if (!run(u)) {
			return false;
		}
	}
	for (uint16_t d = 0; d <= MAX_GUESTS; d++) {
		put_domain(u, d);
	}
	return run(u);
}

bool amdvi_flush_all(struct amdvi_unit *u)
{
	bool ok;

	lock_take(&u->lock);
	if (u->ext & AMDVI_EXT_ALL) {
		put(u, INVALIDATE_IOMMU_ALL, 0, 0);
		ok = run(u);
	} else {
		ok = flush_one_by_one(u);
	}
	lock_drop(&u->lock);
	return ok;
}

bool amdvi_flush_device(struct amdvi_unit *u, uint16_t bdf, uint16_t one, uint16_t two)
{
	bool ok;

	lock_take(&u->lock);
	put(u, INVALIDATE_DEVTAB_ENTRY, bdf, 0);
	if (one) {
		put_domain(u, one);
	}
	if (two && two != one) {
		put_domain(u, two);
	}
	put(u, INVALIDATE_INTERRUPT_TABLE, bdf, 0);
	ok = run(u);
	lock_drop(&u->lock);
	return ok;
}

bool amdvi_flush_interrupts(struct amdvi_unit *u, uint16_t bdf)
{
	bool ok;

	lock_take(&u->lock);
	put(u, INVALIDATE_INTERRUPT_TABLE, bdf, 0);
	ok = run(u);
	lock_drop(&u->lock);
	return ok;
}
