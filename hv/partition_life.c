/*
 * The life of a partition: its starts, its end, and what its CPUs do in between.
 *
 * It belongs to the CPUs of the partition. The boot vCPU's CPU starts and restarts the guest when
 * all its vCPUs stand still; any CPU may end it.
 */
#include "hv/partition.h"
#include "hv/console/console.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/passthrough.h"
#include "hv/speculation.h"
#include "hv/virt.h"

/* --- starting --- */

static bool load(struct partition *p, struct vcpu_regs *regs, enum load_kind *kind,
		 struct refusal *r)
{
	struct acpi_guest tables = {.cpus = p->vcpus, .ecam = true};

	if (p->pc.has_uart) {
		tables.serial = config_serial_port(p->config->serial);
		tables.serial_irq = p->pc.uart.gsi;
	}
	return acpi_guest_build(&tables, &p->as, &p->image.rsdp, r) &&
	       load_guest(&p->image, &p->as, regs, kind, r);
}

static void zero_memory(struct partition *p)
{
	for (unsigned i = 0; i < p->as.count; i++) {
		if (p->as.range[i].ptr) {
			memset(p->as.range[i].ptr, 0, p->as.range[i].size);
		}
	}
}

static void reset_vcpu(struct vcpu *v)
{
	vcpu_reset(v, false);
	vlapic_reset(&v->apic, false);
	v->timer_armed = UINT64_MAX;
	host_timer_set(UINT64_MAX);
}

/* The backend's part, and what the CPU itself remembers of whoever ran before. */
static void reset_cpu(struct vcpu *v)
{
	virt->vcpu_reset(v, false);
	speculation_forget();
}

/* Boot vCPU's CPU, all vCPUs standing still: loads the guest and lets it go. */
static void start(struct vcpu *v)
{
	struct partition *p = v->part;
	struct refusal r = {""};
	enum load_kind kind;

	for (unsigned i = 0; i < p->vcpus; i++) {
		/*
		 * What the last generation still asked for must not reach this one; and a LAPIC
		 * that it had turned off must hear this one's INIT, which may come before the
		 * owner CPU wakes up and resets the rest.
		 */
		atomic_fetch_and(&p->vcpu[i]->request, (uint32_t)REQUEST_CONSOLE);
		vlapic_reset(&p->vcpu[i]->apic, false);
	}
	atomic_store(&p->stopped, 0);
	atomic_store(&p->end, END_NONE);
	if (p->generation) {
		zero_memory(p);
		npt_join(&p->npt); /* every vCPU flushes by its reset */
	}
	pc_reset(p);
	if (p->devices) {
		passthrough_start(p);
	}
	p->start_tsc = host_tsc();
	reset_vcpu(v);
	v->generation = atomic_fetch_add(&p->generation, 1) + 1;
	if (!load(p, &v->regs, &kind, &r)) {
		p->unloadable = true;
		partition_end(p, END_ERROR, "%s", r.text);
		return;
	}
	reset_cpu(v);
	log_line("%s: started on CPU %u: %s, %u vCPU%s, %lu KiB", p->config->name, v->cpu,
		 load_kind_name(kind), p->vcpus, p->vcpus == 1 ? "" : "s", p->config->memory >> 10);
	v->state = VCPU_RUNNING;
	for (unsigned i = 1; i < p->vcpus; i++) {
		host_kick(p->vcpu[i]->cpu,
			  false); /* out of partition_idle, to the new generation */
	}
}

/* --- ending --- */

static const char *const end_name[] = {
	[END_POWER_OFF] = "powered off", [END_RESET] = "reset",	  [END_TRIPLE_FAULT] = "crashed",
	[END_DEBUG_EXIT] = "ended",	 [END_ERROR] = "stopped",
};

static bool succeeded(const struct partition *p)
{
	uint32_t how = atomic_load(&p->end);

	return how == END_POWER_OFF || how == END_RESET ||
	       (how == END_DEBUG_EXIT && p->end_status == 0);
}

static bool again(const struct partition *p)
{
	if (p->unloadable) {
		return false; /* the same image would be refused again */
	}
	switch (atomic_load(&p->end)) {
	case END_RESET: return p->config->on_reset == CONFIG_RESTART;
	case END_TRIPLE_FAULT:
	case END_ERROR: return p->config->on_crash == CONFIG_RESTART;
	default: return false;
	}
}

bool partition_end(struct partition *p, enum partition_end how, const char *reason, ...)
{
	uint32_t none = END_NONE;
	va_list ap;

	if (!atomic_compare_exchange_strong(&p->end, &none, how)) {
		return false;
	}
	va_start(ap, reason);
	fmt_vprint(p->end_reason, sizeof(p->end_reason), reason, ap);
	va_end(ap);
	for (unsigned i = 0; i < p->vcpus; i++) {
		vcpu_post(p->vcpu[i], REQUEST_STOP);
	}
	return true;
}

static void finish(struct partition *p)
{
	bool restart = again(p);

	if (p->devices) {
		passthrough_stop(p);
	}
	log_line("%s: %s: %s%s", p->config->name, end_name[atomic_load(&p->end)], p->end_reason,
		 restart ? "; restarting" : "");
	if (restart) {
		p->restarts++;
		return;
	}
	speculation_forget();
	p->failed = !succeeded(p);
	atomic_store(&p->finished, true);
	console_wake(); /* the console CPU ends the machine when all have finished */
}

/* A guest that ends again and again may not flood the log: then a second passes between starts. */
static bool too_soon(const struct partition *p)
{
	enum { RESTARTS_AT_ONCE = 4 };

	return p->restarts >= RESTARTS_AT_ONCE && host_tsc() - p->start_tsc < host_tsc_hz;
}

/* Until an interrupt comes or it is time, unless the console was asked for by this CPU itself. */
static void idle_wait(struct vcpu *v, uint64_t deadline)
{
	host_timer_set(v->console_deadline < deadline ? v->console_deadline : deadline);
	if (!(atomic_load(&v->request) & REQUEST_CONSOLE)) {
		host_wait();
	}
}

/* The boot vCPU's part of an end: waits for the others, tells, and restarts or not. */
static void boot_idle(struct vcpu *v)
{
	struct partition *p = v->part;

	if (atomic_load(&p->end) == END_NONE) {
		start(v);
		return;
	}
	if (atomic_load(&p->finished)) {
		idle_wait(v, UINT64_MAX);
		return;
	}
	if (atomic_load(&p->stopped) < p->vcpus - 1) {
		host_relax();
		return;
	}
	if (again(p) && too_soon(p)) {
		idle_wait(v, p->start_tsc + host_tsc_hz);
		return;
	}
	finish(p);
	if (!atomic_load(&p->finished)) {
		start(v);
	}
}

/* Another vCPU's part: counted once per generation, it waits for the next and then for a SIPI. */
static void other_idle(struct vcpu *v)
{
	struct partition *p = v->part;
	unsigned generation = atomic_load(&p->generation);

	if (v->state == VCPU_STOPPED && !v->stop_counted) {
		v->stop_counted = true;
		speculation_forget();
		atomic_fetch_add(&p->stopped, 1);
	}
	if (generation == v->generation) {
		idle_wait(v, UINT64_MAX);
		return;
	}
	v->generation = generation;
	v->stop_counted = false;
	reset_vcpu(v);
	reset_cpu(v);
	v->state = VCPU_WAIT_SIPI;
}

void partition_idle(struct vcpu *v)
{
	/* A flush can be answered at once: the next start begins with one. */
	uint32_t r = atomic_fetch_and(&v->request, ~(uint32_t)(REQUEST_CONSOLE | REQUEST_FLUSH));

	if ((r & REQUEST_CONSOLE) || v->console_deadline <= host_tsc()) {
		console_run();
	}
	if (v->index == 0) {
		boot_idle(v);
	} else {
		other_idle(v);
	}
}
