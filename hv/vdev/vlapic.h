/*
 * The virtual local APIC of one vCPU: xAPIC registers, x2APIC MSRs, the timer (Intel SDM vol. 3,
 * "Advanced Programmable Interrupt Controller (APIC)").
 *
 * The owner CPU calls everything here except vlapic_accept and the apic_bus functions, which any
 * CPU may call: they touch only `posted*` (atomic OR) of the target and read its published
 * identity. The timer counts guest TSC ticks shifted right by timer_shift, so no division is ever
 * needed.
 *
 * Decided here, where the manuals leave a choice:
 *  - Version 0x01050014: six LVT entries (no CMCI), EOI broadcasts can be suppressed (SVR bit 12).
 *  - The bootstrap CPU comes out of RESET# as firmware hands a PC over: virtual wire mode (software
 *    enabled, LINT0 ExtINT, LINT1 NMI). INIT gives the manual's state on every CPU.
 *  - IA32_APIC_BASE may move the page anywhere below apic_bus.maxphyaddr (0: the base is fixed).
 * RAM there stays RAM: vlapic_at() only finds accesses that trap.
 *  - Its BSP flag keeps its value whatever is written.
 *  - IPIs are always edge-triggered, as since the Pentium 4. A shorthand only chooses the targets:
 *    combinations that the manual calls invalid are delivered like any other.
 *  - LINT1, thermal and performance entries hold what is written, but nothing drives them; LINT0
 * only counts as a gate for the 8259 (ExtINT).
 */
#pragma once

#include "hv/bus.h"
#include "hv/limits.h"
#include "hv/types.h"
#include <stdatomic.h>

enum { VLAPIC_BASE_DEFAULT = 0xfee00000u };

/* IA32_APIC_BASE. */
enum { APIC_BASE_BSP = BIT(8), APIC_BASE_EXTD = BIT(10), APIC_BASE_EN = BIT(11) };

/* SVR. */
enum {
	APIC_SVR_VECTOR = FIELD(7, 0),
	APIC_SVR_ENABLE = BIT(8),
	APIC_SVR_FOCUS = BIT(9),
	APIC_SVR_NO_EOI_BROADCAST = BIT(12),
};

/* ICR, MSI and IOAPIC message, in the terms of "Interrupt Command Register (ICR)". */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_RESERVED,
	APIC_NMI,
	APIC_INIT,
	APIC_SIPI,
	APIC_EXTINT
};

struct apic_message {
	uint32_t dest; /* APIC id or logical destination; 0xff (xAPIC) or 0xffffffff: all */
	uint8_t vector;
	enum apic_delivery delivery;
	bool logical;
	bool level;  /* level-triggered: the EOI is broadcast to the IOAPIC */
	bool x2apic; /* dest is a 32-bit x2APIC destination (from an x2APIC ICR) */
};

struct vlapic;

/* All vlapics of a partition, and what they ask of the rest. Callbacks may come from any CPU. */
struct apic_bus {
	struct vlapic *lapic[MAX_VCPUS]; /* vlapic_init enters them */
	unsigned count;
	unsigned timer_shift; /* timer clock = TSC >> timer_shift */
	/*
	 * TSC ticks that a periodic timer leaves between two looks at it, however short its period:
	 * the guest must get to run meanwhile. 0: none.
	 */
	uint64_t timer_gap;
	bool tsc_deadline;    /* CPUID shows TSC-deadline mode */
	unsigned maxphyaddr;  /* as CPUID shows it; 0: IA32_APIC_BASE cannot move the page */
	void *ctx;
	/*
	 * Something was posted to vlapic `index` (vectors). What the owner does to itself (timer,
	 * self-IPI, EOI, TPR) is not told: it asks vlapic_pending before each entry anyway.
	 */
	void (*intr)(void *ctx, unsigned index);
	void (*nmi)(void *ctx, unsigned index);
	void (*init)(void *ctx, unsigned index);
	void (*sipi)(void *ctx, unsigned index, uint8_t vector);
	/* An IOAPIC pin in ExtINT mode: this CPU acks the 8259. NULL: such messages are lost. */
	void (*extint)(void *ctx, unsigned index);
	/* EOI of a level-triggered vector: the IOAPIC looks for it. */
	void (*eoi)(void *ctx, uint8_t vector);
	_Atomic uint32_t lowest_priority_next; /* index at which the next choice starts */
};

_Static_assert(MAX_VCPUS <= 64, "apic_bus.c keeps sets of vlapics in 64 bits");

/* The LVT entries in the order of their registers. */
enum vlapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/*
 * Fields that other CPUs read stand first, and those that they write stand last, with what is
 * seldom written between them and the owner's busy ones: so that routing costs few cache misses.
 */
struct vlapic {
	uint32_t apic_id;	   /* x2APIC id; xAPIC id is its low 8 bits; never changes */
	_Atomic uint32_t ldr, dfr; /* xAPIC mode; the x2APIC LDR follows from the id */
	_Atomic uint32_t svr;
	_Atomic uint64_t base; /* IA32_APIC_BASE as the guest sees it; other CPUs read the mode */
	struct apic_bus *bus;
	const uint64_t *tsc_offset; /* guest TSC = host TSC + *tsc_offset */
	unsigned index;		    /* in bus->lapic */
	bool bootstrap;
	uint32_t esr, esr_pending; /* as latched by the last write; detected since */
	uint32_t lvt[LVT_COUNT];

	uint64_t mmio_page; /* gpa of the register page, UINT64_MAX while there is none */
	uint8_t tpr;
	uint8_t isr_words; /* bit n: word n is not 0 */
	/* What the owner looks at before it enters the guest; one word, so that nothing is soon
	 * seen. */
	union {
		struct {
			uint8_t irr_words;
			bool timer_moved; /* timer_deadline has changed; the owner clears both */
			bool tpr_written; /* by the guest, in the register */
		};
		uint32_t attention;
	};
	uint8_t timer_divide; /* the register */
	uint8_t timer_shift;  /* TSC ticks per count, as a power of two */
	uint32_t icr_high, icr_low;
	uint32_t timer_initial;
	uint32_t timer_owed;	 /* periodic ticks that the machine was too late for */
	bool timer_paying;	 /* what is in IRR is such a tick */
	uint64_t timer_due;	 /* host TSC at which the count ends, UINT64_MAX: stopped */
	uint64_t timer_deadline; /* timer_due, or UINT64_MAX while the LVT entry is masked */
	uint64_t tsc_deadline;	 /* IA32_TSC_DEADLINE as written (guest TSC), 0: disarmed */
	uint32_t irr[8], isr[8], tmr[8];

	_Atomic uint32_t posted[16];	/* 0-7: edge, 8-15: level */
	_Atomic uint32_t posted_errors; /* ESR bits */
	_Atomic uint32_t posted_any;	/* bit n: posted[n]; bit 16: posted_errors */
};

/* Enters `a` in bus->lapic and resets it. */
void vlapic_init(struct vlapic *a, struct apic_bus *bus, unsigned index, uint32_t apic_id,
		 bool bootstrap, const uint64_t *tsc_offset);
/* RESET# (init false) or INIT (keeps IA32_APIC_BASE and the id). Drops everything posted. */
void vlapic_reset(struct vlapic *a, bool init);

/* Is this trapped guest-physical address in the register page (xAPIC mode only)? */
static inline bool vlapic_at(const struct vlapic *a, uint64_t gpa)
{
	return (gpa & ~PAGE_MASK) == a->mmio_page;
}

/* Does an access to this register (offset >> 4, MSR - 0x800) need to know the time? */
static inline bool vlapic_is_timed(unsigned reg)
{
	enum { SPURIOUS = 0x0f, LVT_FIRST = 0x32, TIMER_LAST = 0x3e };

	return reg - LVT_FIRST <= TIMER_LAST - LVT_FIRST || reg == SPURIOUS;
}

/*
 * The 4 KiB MMIO page of the calling vCPU's LAPIC; access->offset counts from its start. Ignored
 * (ones) in x2APIC mode or when disabled.
 */
void vlapic_access(struct vlapic *a, struct bus_access *access);

/*
 * IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC MSRs 0x800-0x8ff. now: host TSC.
 * False: the guest gets #GP(0) (reserved bits, wrong mode, read-only or write-only register).
 */
bool vlapic_rdmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t *value);
bool vlapic_wrmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t value);

/*
 * Posts a fixed vector from any CPU and calls bus->intr. A disabled APIC drops it; an illegal
 * vector (0-15) becomes an error in its ESR.
 */
void vlapic_accept(struct vlapic *a, uint8_t vector, bool level);
static inline bool vlapic_hardware_enabled(const struct vlapic *a)
{
	return atomic_load_explicit(&a->base, memory_order_relaxed) & APIC_BASE_EN;
}
static inline bool vlapic_x2apic(const struct vlapic *a)
{
	return atomic_load_explicit(&a->base, memory_order_relaxed) & APIC_BASE_EXTD;
}
/* Would vlapic_accept take a vector? */
static inline bool vlapic_software_enabled(const struct vlapic *a)
{
	return vlapic_hardware_enabled(a) &&
	       (atomic_load_explicit(&a->svr, memory_order_relaxed) & APIC_SVR_ENABLE);
}

/* Nothing in IRR and nothing posted. */
static inline bool vlapic_is_idle(const struct vlapic *a)
{
	return !(atomic_load_explicit(&a->posted_any, memory_order_relaxed) | a->irr_words);
}
/* That, and nothing else has changed that the owner does not know yet. */
static inline bool vlapic_is_quiet(const struct vlapic *a)
{
	return !(atomic_load_explicit(&a->posted_any, memory_order_relaxed) | a->attention);
}
/* vlapic_pending when something may be pending. */
int vlapic_highest(struct vlapic *a, unsigned *blocked_by_tpr);
/*
 * The vector to deliver next: highest in IRR (after taking in what was posted) whose class is above
 * the ISR's; -1 if none. *blocked_by_tpr is its class (1-15) when only the TPR holds it back, in
 * which case -1 is returned; else 0.
 */
static inline int vlapic_pending(struct vlapic *a, unsigned *blocked_by_tpr)
{
	*blocked_by_tpr = 0;
	if (vlapic_is_idle(a)) {
		return -1;
	}
	return vlapic_highest(a, blocked_by_tpr);
}
/* The CPU accepted `vector`: IRR -> ISR. */
void vlapic_ack(struct vlapic *a, uint8_t vector);
/* Does LINT0 (or a disabled APIC, which passes INTR through) let the 8259's output in? */
bool vlapic_accepts_pic(const struct vlapic *a);
void vlapic_set_tpr(struct vlapic *a, uint8_t tpr);

/* Host TSC of the next timer expiry, UINT64_MAX when none. */
static inline uint64_t vlapic_timer_next(const struct vlapic *a)
{
	return a->timer_deadline;
}
/* Fires the timer if it is due at `now`, and arms the next period. */
void vlapic_timer_run(struct vlapic *a, uint64_t now);
/* *tsc_offset has changed: an armed TSC deadline moves with it (and fires if it has passed). */
void vlapic_timer_rebase(struct vlapic *a, uint64_t now);

/*
 * Routes a message (ICR without shorthand, IOAPIC, MSI) to all vlapics it addresses.
 * False: nobody accepted it.
 *
 * A LAPIC in x2APIC mode hears 8-bit messages too, as cluster 0; one in xAPIC mode hears physical
 * x2APIC messages whose destination fits in 8 bits, and the broadcast.
 */
bool apic_bus_send(struct apic_bus *bus, const struct apic_message *m);
/* The vlapics (bit = index) that a message is for, before lowest priority chooses. */
uint64_t apic_bus_targets(const struct apic_bus *bus, const struct apic_message *m);
/* Delivers to a set of vlapics (bit = index), whatever m->dest says: the ICR's shorthands. */
bool apic_bus_deliver(struct apic_bus *bus, uint64_t targets, const struct apic_message *m);
