/*
 * The 8259A pair (Intel 8259A datasheet, "Initialization Command Words", "Operation Command
 * Words", "Interrupt Sequence").
 *
 * Called by the bus for the ports, by irq_sinks for the inputs and by event delivery for INTA, all
 * under the device lock. Owner of the state: the partition's struct pc.
 */
#include "hv/vdev/vpic.h"

enum { MASTER, SLAVE };
enum { CASCADE = 2, CASCADE_BIT = 1 << CASCADE }; /* the master's input for the slave */
enum { NO_IRQ = 8, SPURIOUS = 7 };

enum { CMD_ICW1 = 1 << 4, CMD_OCW3 = 1 << 3 };
enum { ICW1_IC4 = 1 << 0, ICW1_SNGL = 1 << 1 };
enum { ICW4_AEOI = 1 << 1, ICW4_SFNM = 1 << 4 };
enum {
	OCW3_RIS = 1 << 0,
	OCW3_RR = 1 << 1,
	OCW3_P = 1 << 2,
	OCW3_SMM = 1 << 5,
	OCW3_ESMM = 1 << 6
};

/* OCW2 bits 7-5: R, SL, EOI. */
enum ocw2 {
	OCW2_CLEAR_ROTATE_AEOI = 0,
	OCW2_EOI = 1,
	OCW2_NOP = 2,
	OCW2_SPECIFIC_EOI = 3,
	OCW2_SET_ROTATE_AEOI = 4,
	OCW2_ROTATE_EOI = 5,
	OCW2_SET_PRIORITY = 6,
	OCW2_ROTATE_SPECIFIC_EOI = 7,
};

/* Inputs that a PC allows to be level-triggered: not 0, 1, 2, 8 and 13. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

/* The bit of highest priority in v, which is not 0, as distance from the top priority. */
static unsigned distance(uint8_t v, uint8_t top)
{
	return (unsigned)__builtin_ctz((unsigned)(v << 8 | v) >> top);
}

/* The request that the chip passes on, NO_IRQ when none is above what is in service. */
static unsigned pending(const struct vpic_chip *c)
{
	uint8_t requests = c->irr & (uint8_t)~c->imr;
	uint8_t blocking = c->isr;
	unsigned first;

	if (!requests) {
		return NO_IRQ;
	}
	if (c->special_mask) {
		blocking &= (uint8_t)~c->imr;
	}
	if (c->fully_nested) {
		blocking &= (uint8_t)~CASCADE_BIT;
	}
	first = distance(requests, c->top);
	if (blocking && distance(blocking, c->top) <= first) {
		return NO_IRQ;
	}
	return (first + c->top) & 7;
}

/*
 * The outputs after any change: the slave's drives the cascade input, which is a plain level, and
 * the master's is told to the CPU.
 */
static void update(struct vpic *p)
{
	struct vpic_chip *m = &p->chip[MASTER];
	bool out;

	if (pending(&p->chip[SLAVE]) != NO_IRQ) {
		m->irr |= CASCADE_BIT;
	} else {
		m->irr &= (uint8_t)~CASCADE_BIT;
	}
	out = pending(m) != NO_IRQ;
	if (out != p->output) {
		p->output = out;
		p->intr(p->ctx, out);
	}
}

void vpic_set(struct vpic *p, unsigned irq, bool level)
{
	struct vpic_chip *c = &p->chip[irq >> 3 & 1];
	uint8_t bit = (uint8_t)(1 << (irq & 7));

	if (irq > 15 || irq == CASCADE || level == !!(c->line & bit)) {
		return;
	}
	/* Edge and level inputs alike: a rise requests, a fall takes back what nobody acked. */
	c->line ^= bit;
	c->irr = level ? c->irr | bit : c->irr & (uint8_t)~bit;
	update(p);
}

static void end_of_interrupt(struct vpic_chip *c, unsigned irq, bool rotate)
{
	c->isr &= (uint8_t) ~(1 << irq);
	if (rotate) {
		c->top = (irq + 1) & 7;
	}
}

/* The chip's part of an INTA or poll: request to in service, unless EOI is automatic. */
static void acknowledge(struct vpic_chip *c, unsigned irq)
{
	uint8_t bit = (uint8_t)(1 << irq);

	if (!(c->elcr & bit)) {
		c->irr &= (uint8_t)~bit;
	}
	c->isr |= bit;
	if (c->auto_eoi) {
		end_of_interrupt(c, irq, c->rotate_auto);
	}
}

/* Level-triggered inputs that were in service and are not any more. */
static void tell_eoi(struct vpic *p, unsigned which, uint8_t before)
{
	const struct vpic_chip *c = &p->chip[which];

	for (unsigned ended = before & ~c->isr & c->elcr; p->eoi && ended; ended &= ended - 1) {
		p->eoi(p->ctx, which * 8 + (unsigned)__builtin_ctz(ended));
	}
}

static void tell_masked(struct vpic *p, unsigned which, uint8_t before)
{
	unsigned changed = before ^ p->chip[which].imr;

	for (; p->masked && changed; changed &= changed - 1) {
		p->masked(p->ctx, which * 8 + (unsigned)__builtin_ctz(changed));
	}
}

bool vpic_masked(const struct vpic *p, unsigned irq)
{
	return p->chip[irq >> 3 & 1].imr >> (irq & 7) & 1;
}

uint8_t vpic_ack(struct vpic *p)
{
	struct vpic_chip *c = &p->chip[MASTER];
	unsigned irq = pending(c);

	if (irq == CASCADE) {
		acknowledge(c, irq);
		c = &p->chip[SLAVE];
		irq = pending(c);
	}
	if (irq == NO_IRQ) {
		irq = SPURIOUS; /* not in service: its handler sends no EOI to this chip */
	} else {
		acknowledge(c, irq);
		if (c->auto_eoi) {
			tell_eoi(p, (unsigned)(c - p->chip), (uint8_t)(1 << irq));
		}
	}
	update(p);
	return (uint8_t)(c->base | irq);
}

static void write_icw1(struct vpic_chip *c, uint8_t v)
{
	/* The edge sense circuit is reset: only inputs that are level-triggered request again. */
	*c = (struct vpic_chip){
		.line = c->line,
		.elcr = c->elcr,
		.irr = c->line & c->elcr,
		.base = c->base,
		.icw_next = 2,
		.icw4 = v & ICW1_IC4,
		.single = v & ICW1_SNGL,
	};
}

static void write_ocw2(struct vpic_chip *c, uint8_t v)
{
	enum ocw2 command = v >> 5;
	unsigned irq = v & 7;

	switch (command) {
	case OCW2_CLEAR_ROTATE_AEOI:
	case OCW2_SET_ROTATE_AEOI: c->rotate_auto = command == OCW2_SET_ROTATE_AEOI; break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		if (c->isr) {
			irq = (distance(c->isr, c->top) + c->top) & 7;
			end_of_interrupt(c, irq, command == OCW2_ROTATE_EOI);
		}
		break;
	case OCW2_SPECIFIC_EOI:
	case OCW2_ROTATE_SPECIFIC_EOI:
		end_of_interrupt(c, irq, command == OCW2_ROTATE_SPECIFIC_EOI);
		break;
	case OCW2_SET_PRIORITY: c->top = (irq + 1) & 7; break;
	case OCW2_NOP: break;
	}
}

static void write_ocw3(struct vpic_chip *c, uint8_t v)
{
	if (v & OCW3_ESMM) {
		c->special_mask = v & OCW3_SMM;
	}
	if (v & OCW3_RR) {
		c->read_isr = v & OCW3_RIS;
	}
	c->poll = v & OCW3_P;
}

static void write_odd(struct vpic_chip *c, uint8_t v, bool master)
{
	switch (c->icw_next) {
	case 2:
		c->base = v & 0xf8;
		c->icw_next = !c->single ? 3 : c->icw4 ? 4 : 0;
		break;
	case 3: c->icw_next = c->icw4 ? 4 : 0; break; /* the wiring is what it is */
	case 4:
		c->auto_eoi = v & ICW4_AEOI;
		c->fully_nested = master && v & ICW4_SFNM;
		c->icw_next = 0;
		break;
	default: c->imr = v; break;
	}
}

/* A read after the poll command is the acknowledge: bit 7 and the request, or 0. */
static uint8_t poll(struct vpic *p, struct vpic_chip *c)
{
	unsigned irq = pending(c);

	c->poll = false;
	if (irq == NO_IRQ) {
		return 0;
	}
	acknowledge(c, irq);
	update(p);
	return (uint8_t)(0x80 | irq);
}

static uint8_t read_chip(struct vpic *p, struct vpic_chip *c, bool odd)
{
	if (c->poll) {
		return poll(p, c);
	}
	if (odd) {
		return c->imr;
	}
	return c->read_isr ? c->isr : c->irr;
}

static void access_chip(struct vpic *p, unsigned which, struct bus_access *a)
{
	struct vpic_chip *c = &p->chip[which];
	bool odd = a->offset & 1;
	uint8_t v = (uint8_t)a->value, before = c->isr, masked = c->imr;

	if (!a->write) {
		a->value = read_chip(p, c, odd);
		return;
	}
	if (odd) {
		write_odd(c, v, which == MASTER);
	} else if (v & CMD_ICW1) {
		write_icw1(c, v);
	} else if (v & CMD_OCW3) {
		write_ocw3(c, v);
	} else {
		write_ocw2(c, v);
		tell_eoi(p, which, before);
	}
	tell_masked(p, which, masked);
	update(p);
}

static void access_master(void *dev, struct bus_access *a)
{
	access_chip(dev, MASTER, a);
}

static void access_slave(void *dev, struct bus_access *a)
{
	access_chip(dev, SLAVE, a);
}

static void access_elcr(void *dev, struct bus_access *a)
{
	struct vpic *p = dev;
	unsigned which = a->offset & 1;
	struct vpic_chip *c = &p->chip[which];
	uint8_t changed;

	if (!a->write) {
		a->value = c->elcr;
		return;
	}
	changed = c->elcr ^ ((uint8_t)a->value & elcr_writable[which]);
	c->elcr ^= changed;
	/* An input that becomes level-triggered requests by its level from now on. */
	c->irr = (uint8_t)((c->irr & ~(changed & c->elcr)) | (c->line & c->elcr));
	update(p);
}

static void reset_chip(struct vpic_chip *c)
{
	*c = (struct vpic_chip){.line = c->line, .imr = 0xff};
}

void vpic_reset(struct vpic *p)
{
	reset_chip(&p->chip[MASTER]);
	reset_chip(&p->chip[SLAVE]);
	update(p);
}

void vpic_init(struct vpic *p, void (*intr)(void *ctx, bool level), void *ctx)
{
	*p = (struct vpic){.intr = intr, .ctx = ctx};
	vpic_reset(p);
}

const struct vdev_ops vpic_master_ops = {.name = "pic", .access = access_master};
const struct vdev_ops vpic_slave_ops = {.name = "pic-slave", .access = access_slave};
const struct vdev_ops vpic_elcr_ops = {.name = "elcr", .access = access_elcr};
