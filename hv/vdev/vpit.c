/*
 * The ports of the 8254 and port 0x61 (Intel 8254 datasheet, "Programming the 8254").
 *
 * Called by the bus and by pc_run, under the device lock. Owner of the state: struct pc.
 */
#include "hv/vdev/vpit.h"
#include "hv/vdev/vpit_counter.h"

enum { COUNTER_0, COUNTER_1, COUNTER_2, CONTROL };

enum { READ_BACK = 3 };
enum { BACK_NO_COUNT = 1 << 5, BACK_NO_STATUS = 1 << 4 };

enum { P61_GATE2 = 1 << 0, P61_WRITABLE = 0x0f, P61_REFRESH = 1 << 4, P61_OUT2 = 1 << 5 };

enum { REFRESH_PERIOD = 18 }; /* 15 us, as firmware sets counter 1 up */

/* 50 us: with interrupts that come faster a guest would be in exits only, and could not stop them.
 */
enum { LEAST_PERIOD = 60 };

static void set_line(struct vpit *p, bool level)
{
	if (level != p->line) {
		p->line = level;
		irq_set(&p->sink, 0, level);
	}
}

static void arm(struct vpit *p, uint64_t tick)
{
	p->rise = vpit_counter_next_rise(&p->counter[0], tick);
	p->deadline = p->rise == UINT64_MAX ? UINT64_MAX : scale_deadline(&p->tsc, p->rise);
}

/* Counter 0 was written: its output may have changed at once, and its next edge has. */
static void update_irq(struct vpit *p, uint64_t tick)
{
	set_line(p, vpit_counter_output(&p->counter[0], tick));
	arm(p, tick);
}

static void run(struct vpit *p, uint64_t tick)
{
	if (tick < p->rise) {
		return;
	}
	set_line(p, false);
	set_line(p, true);
	vpit_counter_advance(&p->counter[0], tick);
	arm(p, tick);
	if (p->rise < tick + LEAST_PERIOD) {
		p->rise = tick + LEAST_PERIOD;
		p->deadline = scale_deadline(&p->tsc, p->rise);
	}
}

void vpit_run(struct vpit *p, uint64_t now)
{
	if (now >= p->deadline) {
		run(p, scale(&p->ticks, now));
	}
}

static void read_back(struct vpit *p, uint8_t v, uint64_t tick)
{
	for (unsigned i = COUNTER_0; i <= COUNTER_2; i++) {
		if (!(v & 2 << i)) {
			continue;
		}
		vpit_counter_advance(&p->counter[i], tick);
		if (!(v & BACK_NO_COUNT)) {
			vpit_counter_latch_count(&p->counter[i], tick);
		}
		if (!(v & BACK_NO_STATUS)) {
			vpit_counter_latch_status(&p->counter[i], tick);
		}
	}
}

static void write_control(struct vpit *p, uint8_t v, uint64_t tick)
{
	unsigned which = v >> 6, access = v >> 4 & 3, mode = v >> 1 & 7;
	struct vpit_counter *c = &p->counter[which];

	if (which == READ_BACK) {
		read_back(p, v, tick);
		return;
	}
	if (access == PIT_LATCH) {
		vpit_counter_advance(c, tick);
		vpit_counter_latch_count(c, tick);
		return;
	}
	*c = (struct vpit_counter){
		.mode = (uint8_t)(mode > 5 ? mode - 4 : mode), /* modes 6 and 7 are 2 and 3 */
		.access = (uint8_t)access,
		.bcd = v & 1,
		.gate = c->gate,
	};
	if (which == COUNTER_0) {
		update_irq(p, tick);
	}
}

static void access(void *dev, struct bus_access *a)
{
	struct vpit *p = dev;
	uint64_t tick = scale(&p->ticks, a->now);
	unsigned which = a->offset & 3;
	uint8_t v = (uint8_t)a->value;

	run(p, tick);
	if (which == CONTROL) {
		if (a->write) {
			write_control(p, v, tick);
		} else {
			a->value = 0xff; /* write-only */
		}
		return;
	}
	vpit_counter_advance(&p->counter[which], tick);
	if (!a->write) {
		a->value = vpit_counter_read(&p->counter[which], tick);
		return;
	}
	vpit_counter_write(&p->counter[which], v, tick);
	if (which == COUNTER_0) {
		update_irq(p, tick);
	}
}

static void access_port61(void *dev, struct bus_access *a)
{
	struct vpit *p = dev;
	struct vpit_counter *refresh = &p->counter[1], *speaker = &p->counter[2];
	uint64_t tick = scale(&p->ticks, a->now);

	vpit_counter_advance(speaker, tick);
	if (a->write) {
		p->port61 = (uint8_t)a->value & P61_WRITABLE;
		vpit_counter_set_gate(speaker, p->port61 & P61_GATE2, tick);
		return;
	}
	vpit_counter_advance(refresh, tick);
	a->value = p->port61;
	a->value |= refresh->odd_periods ? P61_REFRESH : 0;
	a->value |= vpit_counter_output(speaker, tick) ? P61_OUT2 : 0;
}

/* Nothing is programmed but the refresh, as firmware leaves it. */
void vpit_reset(struct vpit *p)
{
	for (unsigned i = COUNTER_0; i <= COUNTER_2; i++) {
		p->counter[i] = (struct vpit_counter){.gate = i != COUNTER_2};
	}
	p->counter[1].mode = 2;
	p->counter[1].access = PIT_LOW_BYTE;
	vpit_counter_load(&p->counter[1], REFRESH_PERIOD, 0);
	p->port61 = 0;
	p->rise = p->deadline = UINT64_MAX;
	set_line(p, false);
}

void vpit_init(struct vpit *p, uint64_t tsc_hz, struct irq_sink sink)
{
	*p = (struct vpit){
		.ticks = scale_make(tsc_hz, VPIT_HZ),
		.tsc = scale_make(VPIT_HZ, tsc_hz),
		.sink = sink,
	};
	vpit_reset(p);
}

const struct vdev_ops vpit_ops = {.name = "pit", .timed = true, .access = access};
const struct vdev_ops vpit_port61_ops = {.name = "port61", .timed = true, .access = access_port61};
