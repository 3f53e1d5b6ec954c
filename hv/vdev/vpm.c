/*
 * Power management registers and reset ports. vpm_kbc.c has the 8042.
 *
 * Called by the bus and by pc_run, under the device lock. Owner of the state: struct pc.
 */
#include "hv/vdev/vpm.h"
#include "hv/vdev/vpm_kbc.h"

enum { PM1_TMR = 1 << 0, PM1_ENABLES = 0x4721 /* TMR, GBL, PWRBTN, SLPBTN, RTC, PCIEXP_WAKE */ };
enum { PM1_STATUS, PM1_ENABLE = 2 }; /* offsets in the event block */

enum {
	CNT_SCI_EN = 1 << 0,
	CNT_BM_RLD = 1 << 1,
	CNT_SLP_TYP = 7 << 10,
	CNT_SLP_EN = 1 << 13,
};

enum { CF9_SYS_RST = 1 << 1, CF9_RST_CPU = 1 << 2, CF9_FULL_RST = 1 << 3 };
enum { P92_FAST_INIT = 1 << 0, P92_A20 = 1 << 1 };

enum { TIMER_TOP_BIT = 31 };
#define TOGGLES_UNKNOWN UINT64_MAX /* nobody has looked since the reset */

void vpm_finish(struct vpm *p, enum vpm_end how, const char *by)
{
	if (!p->ended) {
		p->ended = true;
		p->end(p->ctx, how, by);
	}
}

static void drive_sci(struct vpm *p)
{
	bool level = p->pm1_status & p->pm1_enable;

	if (level != p->sci) {
		p->sci = level;
		irq_set(&p->sink, VPM_SCI_GSI, level);
	}
}

/* TMR_STS: bit 31 of the timer has changed. Looked up when somebody asks, or at the deadline. */
static void update(struct vpm *p, uint64_t now)
{
	uint64_t toggles = scale(&p->ticks, now) >> TIMER_TOP_BIT;

	if (p->timer_toggles == TOGGLES_UNKNOWN) {
		p->timer_toggles = toggles;
	} else if (toggles > p->timer_toggles) {
		p->timer_toggles = toggles;
		p->pm1_status |= PM1_TMR;
	}
	p->deadline = UINT64_MAX;
	if (p->pm1_enable & PM1_TMR && !(p->pm1_status & PM1_TMR)) {
		p->deadline = scale_deadline(&p->tsc, (p->timer_toggles + 1) << TIMER_TOP_BIT);
	}
	drive_sci(p);
}

void vpm_run(struct vpm *p, uint64_t now)
{
	if (now >= p->deadline) {
		update(p, now);
	}
}

/* The byte or word that an access of 1 or 2 bytes sees of a 16-bit register. */
static uint64_t read_part(uint16_t reg, const struct bus_access *a)
{
	return reg >> 8 * (a->offset & 1);
}

/* The register with the written part put in. */
static uint16_t write_part(uint16_t reg, const struct bus_access *a)
{
	unsigned shift = 8 * (a->offset & 1);
	uint16_t mask = (uint16_t)((a->size == 1 ? 0xffu : 0xffffu) << shift);

	return (uint16_t)((reg & ~mask) | (a->value << shift & mask));
}

static void access_event(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;
	bool enable = a->offset & PM1_ENABLE;

	update(p, a->now);
	if (!a->write) {
		a->value = read_part(enable ? p->pm1_enable : p->pm1_status, a);
		return;
	}
	if (enable) {
		p->pm1_enable = write_part(p->pm1_enable, a) & PM1_ENABLES;
	} else {
		p->pm1_status &= (uint16_t)~write_part(0, a); /* ones clear */
	}
	update(p, a->now);
}

static void access_control(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;
	uint16_t v;

	if (!a->write) {
		a->value = read_part(p->pm1_control | CNT_SCI_EN, a);
		return;
	}
	/* SLP_EN and GBL_RLS are commands that read 0; SCI_EN is ours: there is no SMM to leave. */
	v = write_part(p->pm1_control, a);
	p->pm1_control = v & (CNT_BM_RLD | CNT_SLP_TYP);
	/* S5 is the only sleeping state that our tables offer. */
	if (v & CNT_SLP_EN && field_get(CNT_SLP_TYP, v) == VPM_SLP_TYP_S5) {
		vpm_finish(p, VPM_POWER_OFF, "ACPI S5");
	}
}

static void access_timer(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;

	if (!a->write) {
		a->value = (uint32_t)scale(&p->ticks, a->now) >> 8 * (a->offset & 3);
	}
}

static void access_cf9(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;
	uint8_t v = (uint8_t)a->value, rising = v & (uint8_t)~p->reset_control;

	if (!a->write) {
		a->value = p->reset_control;
		return;
	}
	p->reset_control = v & (CF9_SYS_RST | CF9_RST_CPU | CF9_FULL_RST);
	if (rising & CF9_RST_CPU) {
		vpm_finish(p, VPM_RESET, "port 0xcf9");
	}
}

static void access_port92(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;
	uint8_t v = (uint8_t)a->value, rising = v & (uint8_t)~p->port92;

	if (!a->write) {
		a->value = p->port92 | P92_A20;
		return;
	}
	p->port92 = v & P92_FAST_INIT;
	if (rising & P92_FAST_INIT) {
		vpm_finish(p, VPM_RESET, "port 0x92");
	}
}

void vpm_reset(struct vpm *p)
{
	p->pm1_status = p->pm1_enable = p->pm1_control = 0;
	p->reset_control = p->port92 = 0;
	p->timer_toggles = TOGGLES_UNKNOWN;
	p->deadline = UINT64_MAX;
	p->ended = false;
	drive_sci(p);
	vpm_kbc_reset(p);
}

void vpm_init(struct vpm *p, uint64_t tsc_hz, void (*end)(void *, enum vpm_end, const char *),
	      void *ctx, struct irq_sink sink)
{
	*p = (struct vpm){
		.ticks = scale_make(tsc_hz, VPM_TIMER_HZ),
		.tsc = scale_make(VPM_TIMER_HZ, tsc_hz),
		.end = end,
		.ctx = ctx,
		.sink = sink,
	};
	vpm_reset(p);
}

const struct vdev_ops vpm_event_ops = {.name = "pm1-event", .timed = true, .access = access_event};
const struct vdev_ops vpm_control_ops = {.name = "pm1-control", .access = access_control};
const struct vdev_ops vpm_timer_ops = {.name = "pm-timer", .timed = true, .access = access_timer};
const struct vdev_ops vpm_cf9_ops = {.name = "reset-control", .access = access_cf9};
const struct vdev_ops vpm_port92_ops = {.name = "port92", .access = access_port92};
