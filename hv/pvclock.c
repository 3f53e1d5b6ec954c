/*
 * KVM's paravirtual clock: see pvclock.h. Called by cpuid.c and msr.c on the owner CPU.
 */
#include "hv/pvclock.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/partition.h"

enum {
	FEATURE_NOP_IO_DELAY = BIT(1), /* port 0x80 is not needed as a pause */
	FEATURE_CLOCKSOURCE2 = BIT(3), /* the two MSRs */
	FEATURE_CLOCKSOURCE_STABLE = BIT(24),
	FLAG_TSC_STABLE = BIT(0), /* the same on all vCPUs */
	SYSTEM_ENABLE = BIT(0),
};

struct pvclock_system {
	uint32_t version; /* odd while it is written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns at tsc_timestamp */
	uint32_t mul;
	int8_t shift;
	uint8_t flags;
	uint8_t pad[2];
};
_Static_assert(sizeof(struct pvclock_system) == 32, "guest ABI");
_Static_assert(offsetof(struct pvclock_system, mul) == 24, "guest ABI");

struct pvclock_wall { /* time of day when system_time was 0 */
	uint32_t version, sec, nsec;
};

void pvclock_cpuid(uint32_t leaf, uint32_t out[4])
{
	static const char signature[12] = "KVMKVMKVM";

	if (leaf == PVCLOCK_CPUID) {
		out[EAX] = PVCLOCK_CPUID + 1;
		memcpy(&out[EBX], signature, sizeof(signature));
	} else if (leaf == PVCLOCK_CPUID + 1 && host_tsc_reliable) {
		out[EAX] = FEATURE_NOP_IO_DELAY | FEATURE_CLOCKSOURCE2 | FEATURE_CLOCKSOURCE_STABLE;
	}
}

void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift)
{
	uint64_t ns = 1000000000;

	*shift = 0;
	/* ns / tsc_hz is to lie in [1/2, 1), so that mul has 32 significant bits. */
	while (tsc_hz > 2 * ns || tsc_hz >> 32) {
		tsc_hz >>= 1;
		--*shift;
	}
	while (tsc_hz <= ns) {
		tsc_hz <<= 1;
		++*shift;
	}
	*mul = (uint32_t)((ns << 32) / tsc_hz);
}

/* A reader on another vCPU, as the vDSO may be, sees an odd version while the rest changes. */
static bool write_system(struct vcpu *v)
{
	gpa_t at = gpa(v->pvclock & ~(uint64_t)SYSTEM_ENABLE);
	struct pvclock_system s = {.flags = FLAG_TSC_STABLE}, *shared;

	shared = addrspace_ptr(&v->part->as, at, sizeof(s));
	if (!shared || at.v % sizeof(uint64_t)) {
		return false;
	}
	s.version = (__atomic_load_n(&shared->version, __ATOMIC_RELAXED) | 1) + 1;
	s.tsc_timestamp = v->part->start_tsc + v->tsc_offset;
	pvclock_scale(host_tsc_hz, &s.mul, &s.shift);
	__atomic_store_n(&shared->version, s.version - 1, __ATOMIC_SEQ_CST);
	memcpy(&shared->pad0, &s.pad0, sizeof(s) - offsetof(struct pvclock_system, pad0));
	__atomic_store_n(&shared->version, s.version, __ATOMIC_SEQ_CST);
	return true;
}

static bool write_wall(struct vcpu *v, uint64_t at)
{
	struct pvclock_wall w = {.version = 2};

	w.sec = (uint32_t)host_epoch(v->part->start_tsc);
	return addrspace_write(&v->part->as, gpa(at), &w, sizeof(w));
}

bool pvclock_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr == MSR_PVCLOCK_WALL) {
		return write_wall(v, value);
	}
	v->pvclock = value;
	if (!(value & SYSTEM_ENABLE)) {
		return true;
	}
	if (!write_system(v)) {
		v->pvclock = 0;
		return false;
	}
	return true;
}

void pvclock_tsc_moved(struct vcpu *v)
{
	if (v->pvclock & SYSTEM_ENABLE) {
		write_system(v);
	}
}
