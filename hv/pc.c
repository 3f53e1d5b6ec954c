/*
 * The virtual PC: shared devices of a partition, wired up (see pc.h for who may call what).
 */
#include "hv/pc.h"
#include "hv/console/console.h"
#include "hv/host.h"
#include "hv/partition.h"

enum { ISA_IRQS = 16, PIT_GSI = 2 /* the MADT's override of IRQ 0 */ };

/* An interrupt line: ISA IRQs reach the 8259s and the IOAPIC, as on a PC. Lock held. */
static void set_line(void *ctx, unsigned irq, bool level)
{
	struct pc *pc = ctx;

	if (irq < ISA_IRQS) {
		vpic_set(&pc->pic, irq, level);
	}
	vioapic_set(&pc->ioapic, irq == 0 ? PIT_GSI : irq, level);
}

/* The 8259s' INTR pin goes to the boot vCPU's LINT0. Lock held. */
static void pic_output(void *ctx, bool level)
{
	struct partition *p = ctx;

	if (level) {
		vcpu_post(p->vcpu[0], REQUEST_INTR);
	}
}

static void power_end(void *ctx, enum vpm_end how, const char *by)
{
	struct partition *p = ctx;

	partition_end(p, how == VPM_POWER_OFF ? END_POWER_OFF : END_RESET, "%s", by);
}

static void uart_notify(void *ctx)
{
	(void)ctx;
	console_wake();
}

/* QEMU's isa-debug-exit, for one guest: a write ends it, 0 is success. */
static void debug_exit_access(void *dev, struct bus_access *a)
{
	struct partition *p = dev;

	if (!a->write) {
		a->value = 0;
		return;
	}
	if (atomic_load(&p->end) == END_NONE) { /* the first one counts; the lock is held */
		p->end_status = (uint32_t)a->value;
	}
	partition_end(p, END_DEBUG_EXIT, "debug-exit with status %u", p->end_status);
}

/* A passed-through port range: the access happens on the machine. */
static void forward_access(void *dev, struct bus_access *a)
{
	const struct config_range *r = dev;
	uint16_t port = (uint16_t)(r->base + a->offset);

	if (a->write) {
		host_out(port, a->size, (uint32_t)a->value);
	} else {
		a->value = host_in(port, a->size);
	}
}

/* Port 0x80: POST codes; some machines crash when they arrive, so they end here. */
static void post_access(void *dev, struct bus_access *a)
{
	(void)dev;
	if (!a->write) {
		a->value = ~0ull;
	}
}

static const struct vdev_ops debug_exit_ops = {.name = "debug-exit", .access = debug_exit_access};
static const struct vdev_ops forward_ops = {.name = "ports of the machine",
					    .access = forward_access};
static const struct vdev_ops post_ops = {.name = "POST port", .access = post_access};

static bool claim(struct bus *bus, uint64_t base, uint64_t size, uint8_t width,
		  const struct vdev_ops *ops, void *dev, struct refusal *r)
{
	struct bus_claim c = {.base = base, .size = size, .ops = ops, .dev = dev, .width = width};

	return bus_claim(bus, &c, r);
}

static bool claim_chipset(struct pc *pc, struct refusal *r)
{
	struct bus *b = &pc->ports;

	return claim(b, 0x20, 2, 1, &vpic_master_ops, &pc->pic, r) &&
	       claim(b, 0xa0, 2, 1, &vpic_slave_ops, &pc->pic, r) &&
	       claim(b, 0x4d0, 2, 1, &vpic_elcr_ops, &pc->pic, r) &&
	       claim(b, 0x40, 4, 1, &vpit_ops, &pc->pit, r) &&
	       claim(b, 0x61, 1, 1, &vpit_port61_ops, &pc->pit, r) &&
	       claim(b, 0x60, 1, 1, &vpm_kbc_data_ops, &pc->pm, r) &&
	       claim(b, 0x64, 1, 1, &vpm_kbc_status_ops, &pc->pm, r) &&
	       claim(b, 0x70, 2, 1, &vrtc_ops, &pc->rtc, r) &&
	       claim(b, 0x80, 1, 1, &post_ops, pc, r) &&
	       claim(b, 0x92, 1, 1, &vpm_port92_ops, &pc->pm, r) &&
	       claim(b, VPM_PM1_EVT, 4, 2, &vpm_event_ops, &pc->pm, r) &&
	       claim(b, VPM_PM1_CNT, 2, 2, &vpm_control_ops, &pc->pm, r) &&
	       claim(b, VPM_TIMER, 4, 4, &vpm_timer_ops, &pc->pm, r) &&
	       claim(b, 0xcf8, 4, 4, &vpci_address_ops, &pc->pci, r) &&
	       claim(b, 0xcfc, 4, 4, &vpci_data_ops, &pc->pci, r) &&
	       claim(&pc->mmio, VPCI_ECAM_BASE, VPCI_ECAM_SIZE, 4, &vpci_ecam_ops, &pc->pci, r) &&
	       claim(&pc->mmio, VIOAPIC_BASE, PAGE_SIZE, 4, &vioapic_ops, &pc->ioapic, r);
}

static bool claim_configured(struct partition *p, struct refusal *r)
{
	struct config_guest *g = (struct config_guest *)(uintptr_t)p->config;
	struct pc *pc = &p->pc;

	if (pc->has_uart &&
	    !claim(&pc->ports, config_serial_port(g->serial), 8, 1, &vuart_ops, &pc->uart, r)) {
		return false;
	}
	if (g->debug_exit && !claim(&pc->ports, g->debug_exit, 4, 4, &debug_exit_ops, p, r)) {
		return false;
	}
	for (unsigned i = 0; i < g->ports; i++) {
		struct config_range *range = &g->port[i];

		if (!claim(&pc->ports, range->base, range->size, 4, &forward_ops, range, r)) {
			return false;
		}
	}
	return true;
}

bool pc_create(struct partition *p, struct refusal *r)
{
	struct pc *pc = &p->pc;
	struct irq_sink sink = {.set = set_line, .ctx = pc};
	uint64_t low = p->config->memory, high = 0, now = host_tsc();
	enum config_serial serial = p->config->serial;

	if (low > GUEST_LOW_LIMIT) {
		high = low - GUEST_LOW_LIMIT;
		low = GUEST_LOW_LIMIT;
	}
	vpic_init(&pc->pic, pic_output, p);
	vioapic_init(&pc->ioapic, &p->apics);
	vpit_init(&pc->pit, host_tsc_hz, sink);
	vrtc_init(&pc->rtc, host_tsc_hz, host_epoch(now), now, low, high, sink);
	vpm_init(&pc->pm, host_tsc_hz, power_end, p, sink);
	vpci_init(&pc->pci);
	pc->pci.reset_control = (struct bus_claim){.ops = &vpm_cf9_ops, .dev = &pc->pm};
	pc->has_uart = serial != SERIAL_NONE;
	vuart_init(&pc->uart, serial == SERIAL_COM2 || serial == SERIAL_COM4 ? 3 : 4, sink,
		   uart_notify, p);
	pc->deadline = UINT64_MAX;
	return claim_chipset(pc, r) && claim_configured(p, r);
}

static uint64_t earliest(const struct pc *pc)
{
	uint64_t next = vpit_next(&pc->pit), other = vrtc_next(&pc->rtc);

	next = other < next ? other : next;
	other = vpm_next(&pc->pm);
	return other < next ? other : next;
}

static void update_deadline(struct pc *pc)
{
	atomic_store_explicit(&pc->deadline, earliest(pc), memory_order_relaxed);
}

void pc_reset(struct partition *p)
{
	struct pc *pc = &p->pc;

	vpic_reset(&pc->pic);
	vioapic_reset(&pc->ioapic);
	vpit_reset(&pc->pit);
	vrtc_reset(&pc->rtc);
	vpm_reset(&pc->pm);
	vpci_reset(&pc->pci);
	vuart_reset(&pc->uart);
	update_deadline(pc);
}

void pc_run(struct partition *p, uint64_t now)
{
	struct pc *pc = &p->pc;

	lock_take(&pc->lock);
	vpit_run(&pc->pit, now);
	vrtc_run(&pc->rtc, now);
	vpm_run(&pc->pm, now);
	update_deadline(pc);
	lock_drop(&pc->lock);
}

/* A device may have moved its deadline, which the boot vCPU's CPU serves. */
static void after_access(struct vcpu *v)
{
	struct pc *pc = &v->part->pc;
	uint64_t next = earliest(pc);

	if (__builtin_expect(next == pc->deadline, 1)) {
		return;
	}
	atomic_store_explicit(&pc->deadline, next, memory_order_relaxed);
	vcpu_post(v->part->vcpu[0], REQUEST_TIMER);
}

/* An access that is not one claim's whole. */
static bool access_slowly(struct vcpu *v, struct bus *bus, uint64_t addr, struct bus_access *a)
{
	struct pc *pc = &v->part->pc;
	bool claimed;

	lock_take(&pc->lock);
	a->now = host_tsc(); /* here, so that devices never see time go back */
	claimed = bus_access(bus, addr, a);
	after_access(v);
	lock_drop(&pc->lock);
	return claimed;
}

/* What nobody emulates may lie in a BAR of a passed-through function. */
static bool device_access(struct vcpu *v, bool io, uint64_t addr, struct bus_access *a)
{
	struct pc *pc = &v->part->pc;
	bool claimed;

	if (!pc->pci.functions) {
		return false;
	}
	lock_take(&pc->lock);
	claimed = vpci_window(&pc->pci, io, addr, a);
	lock_drop(&pc->lock);
	return claimed;
}

static NOINLINE bool access_timed(struct vcpu *v, const struct bus_claim *c, uint64_t addr,
				  struct bus_access *a)
{
	struct pc *pc = &v->part->pc;

	lock_take(&pc->lock);
	a->now = host_tsc();
	bus_claim_access(c, addr, a);
	after_access(v);
	lock_drop(&pc->lock);
	return true;
}

static NOINLINE bool access_claim(struct pc *pc, const struct bus_claim *c, uint64_t addr,
				  struct bus_access *a)
{
	lock_take(&pc->lock);
	bus_claim_access(c, addr, a);
	lock_drop(&pc->lock);
	return true;
}

/* Nearly every access is one device's, whole. A bus is read-only, so finding needs no lock. */
static inline bool is_whole(const struct bus_claim *c, uint64_t addr, const struct bus_access *a)
{
	return c && (a->size == 1 || bus_claim_takes(c, addr, a->size));
}

static inline bool access_whole(struct vcpu *v, const struct bus_claim *c, uint64_t addr,
				struct bus_access *a)
{
	return c->ops->timed ? access_timed(v, c, addr, a) : access_claim(&v->part->pc, c, addr, a);
}

static NOINLINE bool port_slowly(struct vcpu *v, uint16_t port, struct bus_access *a)
{
	struct pc *pc = &v->part->pc;

	if (a->size == 1 && !pc->pci.functions && !bus_find(&pc->ports, port)) {
		a->value = 0xff;
		return false;
	}
	return access_slowly(v, &pc->ports, port, a) || device_access(v, true, port, a);
}

bool pc_port(struct vcpu *v, uint16_t port, struct bus_access *a)
{
	struct pc *pc = &v->part->pc;
	const struct bus_claim *c = bus_find_low(&pc->ports, port);

	return is_whole(c, port, a) ? access_whole(v, c, port, a) : port_slowly(v, port, a);
}

static NOINLINE bool mmio_slowly(struct vcpu *v, gpa_t gpa, struct bus_access *a)
{
	return access_slowly(v, &v->part->pc.mmio, gpa.v, a) || device_access(v, false, gpa.v, a);
}

bool pc_mmio(struct vcpu *v, gpa_t gpa, struct bus_access *a)
{
	struct pc *pc = &v->part->pc;
	const struct bus_claim *c = bus_find_last(&pc->mmio, gpa.v);

	return is_whole(c, gpa.v, a) ? access_whole(v, c, gpa.v, a) : mmio_slowly(v, gpa, a);
}

uint8_t pc_pic_ack(struct partition *p)
{
	uint8_t vector;

	lock_take(&p->pc.lock);
	vector = vpic_ack(&p->pc.pic);
	lock_drop(&p->pc.lock);
	return vector;
}

void pc_eoi(struct partition *p, uint8_t vector)
{
	lock_take(&p->pc.lock);
	vioapic_eoi(&p->pc.ioapic, vector);
	lock_drop(&p->pc.lock);
}

void pc_uart_update(struct partition *p)
{
	lock_take(&p->pc.lock);
	vuart_update(&p->pc.uart);
	lock_drop(&p->pc.lock);
}
