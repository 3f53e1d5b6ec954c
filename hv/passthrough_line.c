/*
 * Interrupt lines of passed-through functions: a physical pin of the I/O APIC, level-triggered,
 * becomes a pin of the guest's I/O APIC and an input of its 8259s. Masked from the interrupt to the
 * guest's EOI, so that a device that goes on asking costs one interrupt.
 *
 * Called by passthrough*.c, and by the virtual controllers at an EOI, under the partition's device
 * lock; passthrough_line_interrupt takes it.
 */
#include "hv/passthrough_part.h"

static bool wants_intx(const struct vpci_function *f)
{
	return f->intx && !(vpci_command(f) & PCI_COMMAND_INTX_OFF) && !vpci_msi_on(f) &&
	       !vpci_msix_on(f);
}

/* The guest's input pins: functions can share one. */
static void update_pins(struct partition *p, const struct vpci_function *f)
{
	struct passthrough *d = p->devices;
	bool pin = false, isa = false;

	for (unsigned i = 0; i < d->functions; i++) {
		if (d->asserted >> i & 1) {
			pin |= passthrough_gsi(&d->function[i]) == passthrough_gsi(f);
			isa |= d->function[i].isa_irq == f->isa_irq;
		}
	}
	vioapic_set(&p->pc.ioapic, passthrough_gsi(f), pin);
	if (f->isa_irq) {
		vpic_set(&p->pc.pic, f->isa_irq, isa);
	}
}

static void set_pin(struct partition *p, unsigned index, bool up)
{
	struct passthrough *d = p->devices;

	if ((d->asserted >> index & 1) != up) {
		d->asserted ^= 1u << index;
		update_pins(p, &d->function[index]);
	}
}

/* Open when somebody wants it and nobody of the guest has still to answer for it. */
static void update_line(struct partition *p, struct device_line *l)
{
	struct passthrough *d = p->devices;
	bool wanted = false;

	for (uint32_t left = l->members; left; left &= left - 1) {
		wanted |= wants_intx(&d->function[__builtin_ctz(left)]);
	}
	l->waits = d->asserted & l->members;
	host_line_mask(l->irq, !wanted || l->waits);
}

static void update_lines_of(struct partition *p, uint32_t functions)
{
	for (unsigned i = 0; i < p->devices->lines; i++) {
		if (p->devices->line[i].members & functions) {
			update_line(p, &p->devices->line[i]);
		}
	}
}

void passthrough_intx(void *partition, struct vpci_function *f)
{
	struct partition *p = partition;
	unsigned index = (unsigned)(f - p->devices->function);
	uint32_t guest = vpci_command(f), command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	/* Decoding stays on: the device answers to us where firmware has put it. */
	command |= guest & (PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR);
	command |= wants_intx(f) ? 0 : PCI_COMMAND_INTX_OFF;
	pci_write(f->pci->bdf, PCI_COMMAND, 2, command);
	if (!f->intx) {
		return;
	}
	if (!wants_intx(f)) {
		set_pin(p, index, false);
	}
	update_lines_of(p, 1u << index);
}

void passthrough_line_interrupt(struct partition *p, struct device_line *l)
{
	host_line_mask(l->irq, true);
	lock_take(&p->pc.lock);
	l->waits = true;
	for (uint32_t left = l->members; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (wants_intx(&p->devices->function[i])) {
			set_pin(p, i, true);
		}
	}
	lock_drop(&p->pc.lock);
}

static void answer(struct partition *p, uint32_t functions)
{
	for (uint32_t left = functions; left; left &= left - 1) {
		set_pin(p, (unsigned)__builtin_ctz(left), false);
	}
	if (functions) {
		update_lines_of(p, functions);
	}
}

void passthrough_pin_eoi(void *partition, unsigned pin)
{
	struct partition *p = partition;
	uint32_t answered = 0;

	for (uint32_t left = p->devices->asserted; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		answered |= passthrough_gsi(&p->devices->function[i]) == pin ? 1u << i : 0;
	}
	answer(p, answered);
}

void passthrough_pic_eoi(void *partition, unsigned irq)
{
	struct partition *p = partition;
	uint32_t answered = 0;

	for (uint32_t left = p->devices->asserted; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		answered |= p->devices->function[i].isa_irq == irq ? 1u << i : 0;
	}
	answer(p, answered);
}

static struct device_line *line_of(struct partition *p, uint8_t irq)
{
	struct passthrough *d = p->devices;
	struct device_line *l;

	for (unsigned i = 0; i < d->lines; i++) {
		if (d->line[i].irq == irq) {
			return &d->line[i];
		}
	}
	l = &d->line[d->lines++];
	l->irq = irq;
	l->vector = passthrough_take_vectors(p, 1);
	return l;
}

bool passthrough_open_lines(struct partition *p, struct refusal *r)
{
	struct passthrough *d = p->devices;

	for (unsigned i = 0; i < d->functions; i++) {
		if (d->function[i].intx) {
			line_of(p, d->function[i].pci->line)->members |= 1u << i;
		}
	}
	for (unsigned i = 0; i < d->lines; i++) {
		struct device_line *l = &d->line[i];

		if (!host_line_open(l->irq, p->config->cpu[0], l->vector)) {
			return refuse(r, "guest %s: no I/O APIC has interrupt line %u",
				      p->config->name, l->irq);
		}
	}
	return true;
}
