/*
 * Application processors: see smp.h. Called once by boot/main.c. The APs' way: trampoline.asm ->
 * ap_main -> TSC check -> parked until cpu_start.
 */
#include "arch/x86_64/smp.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/paging.h"
#include "arch/x86_64/trap.h"
#include "boot/stage.h"
#include "drivers/lapic.h"
#include "drivers/tsc.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

enum {
	INIT_DELAY_US = 10000,
	SIPI_DELAY_US = 200,
	START_US = 1000000, /* emulated CPUs of a busy machine take their time */
};

/* The end of the trampoline's page; trampoline.asm has the same layout. */
struct trampoline_params {
	uint64_t cr3;
	struct percpu *percpu;
	void (*entry)(struct percpu *);
	_Atomic uint64_t alive; /* the first instructions ran */
};

extern const char trampoline[], trampoline_end[], trampoline_params[];

static unsigned cpus = 1;

unsigned host_cpu_count(void)
{
	return cpus;
}

static NORETURN void park(struct percpu *p)
{
	for (;;) {
		cpu_job job = atomic_load_explicit(&p->job, memory_order_acquire);

		if (job) {
			job(p->job_arg);
			atomic_store_explicit(&p->job, NULL, memory_order_release);
		} else {
			host_wait();
		}
	}
}

void cpu_start(unsigned cpu, cpu_job job, void *arg)
{
	struct percpu *p = percpu_of[cpu];

	if (p == this_cpu()) {
		job(arg);
		return;
	}
	p->job_arg = arg;
	atomic_store_explicit(&p->job, job, memory_order_release);
	host_kick(cpu, false);
}

void cpu_call(unsigned cpu, cpu_job job, void *arg)
{
	cpu_start(cpu, job, arg);
	while (percpu_of[cpu] != this_cpu() && atomic_load(&percpu_of[cpu]->job)) {
		pause();
	}
}

static NORETURN void ap_main(struct percpu *p)
{
	out8(PORT_POST, STAGE_AP_C);
	write_cr3(paging_root().v);
	gdt_load(p);
	trap_load();
	cpu_set_control();
	lapic_init_ap();
	irq_init_cpu();
	cpu_facts_read(&cpu_facts[p->cpu]);
	atomic_store_explicit(&p->state, CPU_READY, memory_order_release);
	tsc_sync_follow(p->cpu);
	park(p);
}

static struct trampoline_params *prepare(hpa_t low)
{
	char *page = host_ptr(low);
	struct trampoline_params *t;

	memcpy(page, trampoline, (size_t)(trampoline_end - trampoline));
	t = (struct trampoline_params *)(page + (trampoline_params - trampoline));
	t->cr3 = paging_trampoline_root(low).v;
	t->entry = ap_main;
	return t;
}

static bool wait_for(struct percpu *p, uint32_t state, uint64_t microseconds)
{
	uint64_t start = rdtsc();
	uint64_t ticks = tsc_ticks(microseconds);

	while (atomic_load_explicit(&p->state, memory_order_acquire) < state) {
		if (rdtsc() - start > ticks) {
			return false;
		}
		pause();
	}
	return true;
}

/* Of a CPU that has got its INIT. */
static bool start(struct percpu *p, uint32_t apic_id, uint8_t page)
{
	uint32_t expected = CPU_STARTING;

	lapic_send(apic_id, LAPIC_SIPI | page);
	if (!wait_for(p, CPU_STARTED, SIPI_DELAY_US)) {
		lapic_send(apic_id, LAPIC_SIPI | page);
		wait_for(p, CPU_STARTED, START_US);
	}
	/* Either we take the slot back, or it came after all. */
	if (atomic_compare_exchange_strong(&p->state, &expected, CPU_GIVEN_UP)) {
		return false;
	}
	return wait_for(p, CPU_READY, START_US);
}

/* For whoever looks for the reason: is the CPU there at all? */
static const char *how_far(const struct trampoline_params *t, const struct percpu *p)
{
	if (p->state >= CPU_STARTED) {
		return "it stopped in 64-bit code";
	}
	return atomic_load(&t->alive) ? "it stopped on the way to 64-bit mode"
				      : "it gave no sign of life";
}

static bool is_other(uint32_t apic_id)
{
	return apic_id != this_cpu()->apic_id && (apic_id <= 0xfe || lapic_x2apic());
}

/* To all at once: the wait behind an INIT is long. */
static void send_inits(const struct acpi_info *a)
{
	bool any = false;

	for (unsigned i = 0; i < a->cpus; i++) {
		uint32_t id = a->cpu[i].apic_id;

		if (is_other(id)) {
			lapic_send(id, LAPIC_INIT);
			any = true;
		} else if (id != this_cpu()->apic_id) {
			log_line("CPU with APIC id %u cannot be reached without x2APIC; skipped",
				 id);
		}
	}
	if (any) {
		tsc_delay(INIT_DELAY_US);
	}
}

/*
 * One after the other, and each has run its TSC's race and sleeps before the next one starts: CPUs
 * that spin would slow down their siblings, and a machine that emulates many on few.
 */
void smp_start(const struct acpi_info *a, hpa_t low)
{
	struct trampoline_params *t = prepare(low);
	struct percpu *p = NULL;

	cpu_facts_read(&cpu_facts[0]);
	send_inits(a);
	for (unsigned i = 0; i < a->cpus && cpus < MAX_CPUS; i++) {
		uint32_t id = a->cpu[i].apic_id;

		if (!is_other(id)) {
			continue;
		}
		p = p ? p : cpu_make(cpus);
		t->percpu = p;
		atomic_store(&t->alive, 0);
		atomic_store_explicit(&p->state, CPU_STARTING, memory_order_release);
		if (!start(p, id, (uint8_t)(low.v >> PAGE_SHIFT))) {
			log_line("CPU with APIC id %u did not start (%s); skipped", id,
				 how_far(t, p));
			if (p->state != CPU_GIVEN_UP) {
				/* It may yet run, on the stacks of the next index. */
				log_line("no further CPUs are started");
				break;
			}
			continue;
		}
		percpu_of[cpus++] = p;
		tsc_sync_lead(p->cpu);
		p = NULL;
	}
	log_line("%u CPU%s", cpus, cpus == 1 ? "" : "s");
	tsc_sync_report();
}
