/*
 * Interrupt lines of passed-through functions: a physical pin of the I/O APIC, level-triggered,
 * becomes a pin of the guest's I/O APIC and an input of its 8259s. Masked from the interrupt to the
 * guest's EOI, so that a device that goes on asking costs one interrupt; and while the guest masks
 * its pin.
 *
 * Called by passthrough*.c, and by the virtual controllers at an EOI or a new mask, under the
 * partition's device lock; passthrough_line_interrupt takes it.
 */
#include "hv/passthrough_part.h"

/* May the device interrupt by its line, as far as its own registers say? */
static bool may_intx(const struct vpci_function *f)
{
	return f->intx && !(vpci_command(f) & PCI_COMMAND_INTX_OFF) && !vpci_msi_on(f) &&
	       !vpci_msix_on(f);
}

/*
 * And does anybody listen? What nobody listens to is not asked for: its interrupt would wait for an
 * EOI that never comes, and with it all that share the line.
 */
static bool wants_intx(const struct partition *p, const struct vpci_function *f)
{
	return may_intx(f) && (!vioapic_masked(&p->pc.ioapic, passthrough_gsi(f)) ||
			       (f->isa_irq && !vpic_masked(&p->pc.pic, f->isa_irq)));
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
		wanted |= wants_intx(p, &d->function[__builtin_ctz(left)]);
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

static bool shares_line(const struct passthrough *d, unsigned index)
{
	for (unsigned i = 0; i < d->lines; i++) {
		if (d->line[i].members >> index & 1) {
			return d->line[i].members != 1u << index;
		}
	}
	return false;
}

/*
 * One whose pin the guest has masked is silenced in the device if it shares its line, which stays
 * open for the others; alone, its line is masked instead.
 */
static void write_command(struct partition *p, struct vpci_function *f, unsigned index)
{
	uint32_t guest = vpci_command(f), command = passthrough_decoding(f->pci);
	bool on = shares_line(p->devices, index) ? wants_intx(p, f) : may_intx(f);

	/*
	 * Decoding stays on: the device answers to us where firmware has put it. SERR# stays off:
	 * it is an NMI of the machine's, or its firmware's reset.
	 */
	command |= guest & (PCI_COMMAND_MASTER | PCI_COMMAND_PARITY);
	pci_write(f->pci->bdf, PCI_COMMAND, 2, command | (on ? 0 : PCI_COMMAND_INTX_OFF));
}

static void settle_pin(struct partition *p, struct vpci_function *f, unsigned index)
{
	if (!wants_intx(p, f)) {
		set_pin(p, index, false);
	}
	update_lines_of(p, 1u << index);
}

void passthrough_intx(void *partition, struct vpci_function *f)
{
	struct partition *p = partition;
	unsigned index = (unsigned)(f - p->devices->function);

	write_command(p, f, index);
	if (f->intx) {
		settle_pin(p, f, index);
	}
}

static void mask_changed(struct partition *p, unsigned index)
{
	struct vpci_function *f = &p->devices->function[index];

	if (f->intx) {
		if (shares_line(p->devices, index)) {
			write_command(p, f, index);
		}
		settle_pin(p, f, index);
	}
}

static void masks_changed(struct partition *p, uint32_t functions)
{
	for (uint32_t left = functions; left; left &= left - 1) {
		mask_changed(p, (unsigned)__builtin_ctz(left));
	}
}

static uint32_t functions_on_pin(const struct partition *p, unsigned pin)
{
	uint32_t on = 0;

	for (unsigned i = 0; i < p->devices->functions; i++) {
		on |= passthrough_gsi(&p->devices->function[i]) == pin ? 1u << i : 0;
	}
	return on;
}

static uint32_t functions_on_pic(const struct partition *p, unsigned irq)
{
	uint32_t on = 0;

	for (unsigned i = 0; i < p->devices->functions; i++) {
		on |= p->devices->function[i].isa_irq == irq ? 1u << i : 0;
	}
	return on;
}

void passthrough_pin_masked(void *partition, unsigned pin)
{
	masks_changed(partition, functions_on_pin(partition, pin));
}

void passthrough_pic_masked(void *partition, unsigned irq)
{
	masks_changed(partition, functions_on_pic(partition, irq));
}

void passthrough_line_interrupt(struct partition *p, struct device_line *l)
{
	host_line_mask(l->irq, true);
	lock_take(&p->pc.lock);
	l->waits = true;
	for (uint32_t left = l->members; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (wants_intx(p, &p->devices->function[i])) {
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

	answer(p, p->devices->asserted & functions_on_pin(p, pin));
}

void passthrough_pic_eoi(void *partition, unsigned irq)
{
	struct partition *p = partition;

	answer(p, p->devices->asserted & functions_on_pic(p, irq));
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
	l->vector = passthrough_take_line_vector(p);
	return l;
}

bool passthrough_open_lines(struct partition *p, struct refusal *r)
{
	struct passthrough *d = p->devices;

	for (unsigned i = 0; i < d->functions; i++) {
		if (d->function[i].intx) {
			line_of(p, passthrough_input(&p->config->pci[i]))->members |= 1u << i;
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
