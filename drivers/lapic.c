/*
 * Physical LAPIC: see lapic.h. Called by irq.c, smp.c and tsc.c of the machine rooms.
 */
#include "drivers/lapic.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/percpu.h"
#include "hv/host.h"
#include "hv/msr_index.h"

/* Offsets of the xAPIC page; the x2APIC MSR is MSR_X2APIC_FIRST + offset / 16. */
enum lapic_register {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define BASE_ADDRESS FIELD(51, 12)
enum { BASE_X2APIC = BIT(10), BASE_ENABLE = BIT(11) };
enum { CPUID_1_ECX_X2APIC = BIT(21) };
enum { SVR_ENABLE = BIT(8) };
enum { ICR_PENDING = BIT(12), ICR_ASSERT = BIT(14) };
enum { LVT_NMI = 4 << 8, LVT_MASKED = BIT(16), LVT_DEADLINE = 2 << 17 };
enum { DIVIDE_BY_1 = 0xb };
enum { LAST_LVT_THERMAL = 5, LAST_LVT_PERF = 4, LAST_LVT_CMCI = 6 };

static volatile uint32_t *page; /* NULL in x2APIC mode */
static bool x2apic;

static uint32_t read(enum lapic_register r)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC_FIRST + r / 16) : page[r / 4];
}

static void write(enum lapic_register r, uint32_t v)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC_FIRST + r / 16, v);
	} else {
		page[r / 4] = v;
	}
}

/* Interrupts that firmware took and never ended would hold back ours. */
static void end_old_interrupts(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t busy = 0;

		for (unsigned r = 0; r < 8; r++) {
			busy |= read(LAPIC_ISR + r * 0x10);
		}
		if (!busy) {
			return;
		}
		lapic_eoi();
	}
}

static void set_up(bool boot_cpu)
{
	unsigned last_lvt = read(LAPIC_VERSION) >> 16 & 0xff;

	write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	write(LAPIC_TPR, 0);
	write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	write(LAPIC_TIMER_INITIAL, 0);
	write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	write(LAPIC_LVT_LINT0, LVT_MASKED);
	/* A PC wires NMI to LINT1; one CPU is enough to report it. */
	write(LAPIC_LVT_LINT1, boot_cpu ? LVT_NMI : LVT_MASKED);
	if (last_lvt >= LAST_LVT_PERF) {
		write(LAPIC_LVT_PERF, LVT_MASKED);
	}
	if (last_lvt >= LAST_LVT_THERMAL) {
		write(LAPIC_LVT_THERMAL, LVT_MASKED);
	}
	if (last_lvt >= LAST_LVT_CMCI) {
		write(LAPIC_LVT_CMCI, LVT_MASKED);
	}
	write(LAPIC_LVT_ERROR, VECTOR_ERROR);
	lapic_errors();
	end_old_interrupts();
	this_cpu()->apic_id = lapic_id();
}

static bool has_x2apic(void)
{
	uint32_t id[4];

	host_cpuid(1, 0, id);
	return id[2] & CPUID_1_ECX_X2APIC;
}

void lapic_init(bool want_x2apic)
{
	uint64_t v = rdmsr(MSR_APIC_BASE);

	/* In two steps: x2APIC cannot be entered from "disabled". */
	if (!(v & BASE_ENABLE)) {
		v |= BASE_ENABLE;
		wrmsr(MSR_APIC_BASE, v);
	}
	if (want_x2apic && !(v & BASE_X2APIC) && has_x2apic()) {
		wrmsr(MSR_APIC_BASE, v | BASE_X2APIC);
		v = rdmsr(MSR_APIC_BASE);
	}
	x2apic = v & BASE_X2APIC;
	if (!x2apic) {
		page = host_map_mmio(hpa(v & BASE_ADDRESS), PAGE_SIZE);
	}
	set_up(true);
}

void lapic_init_ap(void)
{
	uint64_t v = rdmsr(MSR_APIC_BASE);

	/* Never back from x2APIC: the way leads through "disabled", which some CPUs never leave. */
	if (!(v & BASE_ENABLE)) {
		wrmsr(MSR_APIC_BASE, v | BASE_ENABLE);
	}
	if (x2apic) {
		wrmsr(MSR_APIC_BASE, v | BASE_ENABLE | BASE_X2APIC);
	}
	set_up(false);
}

bool lapic_x2apic(void)
{
	return x2apic;
}

uint32_t lapic_id(void)
{
	return x2apic ? read(LAPIC_ID) : read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	write(LAPIC_EOI, 0);
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
	command |= ICR_ASSERT;
	if (x2apic) {
		/* The MSR write does not wait for earlier stores; the target must see them. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_FIRST + LAPIC_ICR / 16, (uint64_t)apic_id << 32 | command);
		return;
	}
	for (unsigned i = 0; i < 1000000 && (page[LAPIC_ICR / 4] & ICR_PENDING); i++) {
		pause();
	}
	page[LAPIC_ICR_HIGH / 4] = apic_id << 24;
	page[LAPIC_ICR / 4] = command;
}

uint32_t lapic_destination(void)
{
	return page ? page[LAPIC_ICR_HIGH / 4] : 0;
}

void lapic_set_destination(uint32_t v)
{
	if (page) {
		page[LAPIC_ICR_HIGH / 4] = v;
	}
}

bool lapic_has_deadline(void)
{
	uint32_t id[4];

	cpuid(1, 0, id);
	return id[2] & BIT(24);
}

void lapic_timer_deadline(bool on)
{
	write(LAPIC_LVT_TIMER, VECTOR_TIMER | (on ? LVT_DEADLINE : 0));
	/* A later write of the deadline MSR must not overtake this store to the xAPIC page. */
	__asm__ volatile("mfence" : : : "memory");
}

void lapic_timer_start(uint32_t count)
{
	write(LAPIC_TIMER_INITIAL, count);
}

uint32_t lapic_timer_count(void)
{
	return read(LAPIC_TIMER_CURRENT);
}

uint32_t lapic_errors(void)
{
	write(LAPIC_ESR, 0);
	return read(LAPIC_ESR);
}
