/*
 * Physical interrupts: dispatch, kicks, the deadline timer, waiting. See irq.h, percpu.h and
 * hv/host.h. Handlers are entered at boot; all other state is each CPU's own.
 */
#include "arch/x86_64/irq.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "drivers/lapic.h"
#include "drivers/tsc.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/msr_index.h"

enum { CALIBRATION_US = 20000, READS = 8, REPORTS = 8 };

static irq_handler handlers[256];
static _Atomic bool stopping;

/* One-shot mode: LAPIC counts = TSC ticks * counts_per_tick >> 32, up to longest ticks at once. */
static bool deadline_mode;
static uint64_t counts_per_tick, longest;

void irq_handle(uint8_t vector, irq_handler h)
{
	handlers[vector] = h;
}

/* --- the timer --- */

struct instant {
	uint64_t tsc;
	uint32_t count;
};

/* Both counters at one moment: of some readings the one with the least time around it. */
static struct instant instant_now(void)
{
	struct instant best = {0};
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < READS; i++) {
		uint64_t before = rdtsc();
		uint32_t count = lapic_timer_count();
		uint64_t around = rdtsc() - before;

		if (around < least) {
			least = around;
			best = (struct instant){before + around / 2, count};
		}
	}
	return best;
}

static void calibrate_lapic(void)
{
	struct instant first, last;
	uint64_t ticks, hz;
	uint32_t counts;

	lapic_timer_start(UINT32_MAX);
	first = instant_now();
	tsc_delay(CALIBRATION_US);
	last = instant_now();
	lapic_timer_start(0);
	counts = first.count - last.count;
	ticks = last.tsc - first.tsc;
	bug_on(!counts);
	hz = counts * (host_tsc_hz / 1000) / ticks * 1000;
	counts_per_tick = ((uint64_t)counts << 32) / ticks;
	bug_on(!counts_per_tick);
	/* Neither the product nor the count register may overflow. */
	longest = UINT64_MAX / counts_per_tick;
	if (longest > ((uint64_t)INT32_MAX << 32) / counts_per_tick) {
		longest = ((uint64_t)INT32_MAX << 32) / counts_per_tick;
	}
	log_line("timer: LAPIC one-shot, %lu.%03lu MHz", hz / 1000000, hz / 1000 % 1000);
}

void irq_init(void)
{
	deadline_mode = lapic_has_deadline();
	if (deadline_mode) {
		log_line("timer: LAPIC with TSC deadline");
	} else {
		calibrate_lapic();
	}
	irq_init_cpu();
}

void irq_init_cpu(void)
{
	lapic_timer_deadline(deadline_mode);
	host_timer_set(UINT64_MAX);
}

static void arm(uint64_t deadline)
{
	uint64_t now, ticks;

	if (deadline_mode) {
		/* 0 would stop it. */
		wrmsr(MSR_TSC_DEADLINE, deadline == UINT64_MAX ? 0 : deadline | !deadline);
		return;
	}
	if (deadline == UINT64_MAX) {
		lapic_timer_start(0);
		return;
	}
	now = rdtsc();
	ticks = deadline > now ? deadline - now : 0;
	ticks = ticks < longest ? ticks : longest;
	lapic_timer_start((uint32_t)(ticks * counts_per_tick >> 32) + 1);
}

void host_timer_set(uint64_t deadline)
{
	this_cpu()->deadline = deadline;
	arm(deadline);
}

static void timer_interrupt(struct percpu *p)
{
	if (rdtsc() < p->deadline) {
		arm(p->deadline); /* only a part of a long wait is over, or the timer was early */
		return;
	}
	p->deadline = UINT64_MAX;
	if (p->vcpu) {
		atomic_fetch_or_explicit(&p->vcpu->request, REQUEST_TIMER, memory_order_release);
	}
}

/* --- dispatch --- */

/* Things that should not happen are told a few times, not at the pace of a broken device. */
static bool may_report(void)
{
	static _Atomic unsigned reports;

	return atomic_fetch_add_explicit(&reports, 1, memory_order_relaxed) < REPORTS;
}

static void unexpected(uint8_t vector)
{
	if (may_report()) {
		log_line("CPU %u: interrupt with vector 0x%x, which nobody handles", host_cpu(),
			 vector);
	}
}

static void lapic_error(void)
{
	uint32_t errors = lapic_errors();

	if (may_report()) {
		log_line("CPU %u: local APIC reports error 0x%x", host_cpu(), errors);
	}
}

void irq_dispatch(uint8_t vector)
{
	struct percpu *p = this_cpu();

	switch (vector) {
	case VECTOR_SPURIOUS: return; /* has no EOI */
	case VECTOR_TIMER: timer_interrupt(p); break;
	case VECTOR_KICK: break;
	case VECTOR_ERROR: lapic_error(); break;
	default:
		if (vector < VECTOR_UART) {
			unexpected(vector); /* of an 8259: the LAPIC does not know it */
			return;
		}
		if (handlers[vector]) {
			handlers[vector](vector);
		} else {
			unexpected(vector);
		}
	}
	lapic_eoi();
}

/* The log may kick a CPU, and this may have interrupted the sending of another kick. */
static void report_nmi(void)
{
	uint32_t destination = lapic_destination();

	if (may_report()) {
		log_line("CPU %u: NMI that no CPU sent", host_cpu());
	}
	lapic_set_destination(destination);
}

void nmi_dispatch(void)
{
	struct percpu *p = this_cpu();

	p->nmi_count++;
	if (atomic_load_explicit(&stopping, memory_order_acquire)) {
		cpu_halt();
	}
	/* Kicks may melt into one NMI, so there are never more NMIs than kicks. */
	if (p->nmi_count > atomic_load_explicit(&p->nmi_kicks, memory_order_acquire)) {
		atomic_fetch_add_explicit(&p->nmi_kicks, 1, memory_order_relaxed);
		report_nmi();
	}
}

/* --- between CPUs --- */

void host_kick(unsigned cpu, bool urgent)
{
	struct percpu *p = percpu_of[cpu];

	lapic_send(p->apic_id, VECTOR_KICK);
	if (urgent) {
		atomic_fetch_add_explicit(&p->nmi_kicks, 1, memory_order_release);
		lapic_send(p->apic_id, LAPIC_NMI);
	}
}

void host_wait(void)
{
	/* STI takes effect after HLT: an interrupt cannot come in between and be slept over. */
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

void host_stop(void)
{
	if (!atomic_exchange(&stopping, true)) {
		for (unsigned i = 0; i < MAX_CPUS; i++) {
			if (percpu_of[i] && percpu_of[i] != this_cpu()) {
				lapic_send(percpu_of[i]->apic_id, LAPIC_NMI);
			}
		}
	}
	cpu_halt();
}
