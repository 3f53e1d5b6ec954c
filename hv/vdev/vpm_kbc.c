/*
 * The 8042 without keyboard and mouse (Intel UPI-C42 and IBM PS/2 technical references, "Keyboard
 * and Auxiliary Device Controller").
 *
 * Called by the bus under the device lock; state is in struct vpm. A command is done as soon as it
 * is written, so the input buffer is always empty. Not emulated: the password and the extended RAM.
 */
#include "hv/vdev/vpm_kbc.h"

enum {
	STATUS_OBF = 1 << 0,
	STATUS_SYSTEM = 1 << 2,
	STATUS_COMMAND = 1 << 3, /* the last write went to 0x64 */
	STATUS_UNLOCKED = 1 << 4,
	STATUS_AUX = 1 << 5, /* the output comes from the mouse's side */
	STATUS_TIMEOUT = 1 << 6,
	STATUS_OUTPUT = STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT,
};

enum {
	CMD_READ_BYTE = 0x20,
	CMD_WRITE_BYTE = 0x60,
	CMD_AUX_OFF = 0xa7,
	CMD_AUX_ON = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KBD_TEST = 0xab,
	CMD_KBD_OFF = 0xad,
	CMD_KBD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_ECHO_KBD = 0xd2,
	CMD_ECHO_AUX = 0xd3,
	CMD_WRITE_AUX = 0xd4,
	CMD_PULSE = 0xf0, /* to 0xff: pulses the output port's bits that are 0 */
};

enum {
	BYTE_KBD_IRQ = 1 << 0,
	BYTE_SYSTEM = 1 << 2,
	BYTE_KBD_OFF = 1 << 4,
	BYTE_AUX_OFF = 1 << 5,
};

enum { PORT_NO_RESET = 1 << 0, PORT_A20 = 1 << 1 };

enum {
	SELF_TEST_PASSED = 0x55,
	TEST_PASSED = 0x00,
	TEST_CLOCK_STUCK = 0x02, /* nothing is wired to the mouse's side */
	INPUT_PORT = 0xb0,	 /* not locked, no manufacturing jumper */
	RESEND = 0xfe,		 /* what the controller says for a device that does not answer */
};

static void drive_irq(struct vpm *p)
{
	bool level = (p->kbc_status & (STATUS_OBF | STATUS_AUX)) == STATUS_OBF &&
		     p->kbc_command_byte & BYTE_KBD_IRQ;

	if (level != p->kbc_irq) {
		p->kbc_irq = level;
		irq_set(&p->sink, 1, level);
	}
}

/* Fills the output buffer; `from` adds STATUS_AUX, STATUS_TIMEOUT. */
static void put(struct vpm *p, uint8_t data, uint8_t from)
{
	p->kbc_data = data;
	p->kbc_status = (uint8_t)((p->kbc_status & ~STATUS_OUTPUT) | STATUS_OBF | from);
}

static void write_output_port(struct vpm *p, uint8_t v)
{
	p->kbc_output_port = v | PORT_A20;
	if (!(v & PORT_NO_RESET)) {
		vpm_finish(p, VPM_RESET, "keyboard controller");
	}
}

static void write_command_byte(struct vpm *p, uint8_t v)
{
	p->kbc_command_byte = v;
	p->kbc_status &= (uint8_t)~STATUS_SYSTEM;
	p->kbc_status |= v & BYTE_SYSTEM ? STATUS_SYSTEM : 0;
}

static void self_test(struct vpm *p)
{
	p->kbc_command_byte = BYTE_KBD_OFF | BYTE_AUX_OFF | BYTE_SYSTEM;
	p->kbc_output_port = PORT_NO_RESET | PORT_A20;
	p->kbc_status = STATUS_SYSTEM | STATUS_UNLOCKED | STATUS_COMMAND;
	put(p, SELF_TEST_PASSED, 0);
}

static void command(struct vpm *p, uint8_t cmd)
{
	p->kbc_command = 0;
	p->kbc_status |= STATUS_COMMAND;
	switch (cmd) {
	case CMD_READ_BYTE: put(p, p->kbc_command_byte, 0); break;
	case CMD_AUX_OFF: p->kbc_command_byte |= BYTE_AUX_OFF; break;
	case CMD_AUX_ON: p->kbc_command_byte &= (uint8_t)~BYTE_AUX_OFF; break;
	case CMD_AUX_TEST: put(p, TEST_CLOCK_STUCK, 0); break;
	case CMD_SELF_TEST: self_test(p); break;
	case CMD_KBD_TEST: put(p, TEST_PASSED, 0); break;
	case CMD_KBD_OFF: p->kbc_command_byte |= BYTE_KBD_OFF; break;
	case CMD_KBD_ON: p->kbc_command_byte &= (uint8_t)~BYTE_KBD_OFF; break;
	case CMD_READ_INPUT: put(p, INPUT_PORT, 0); break;
	case CMD_READ_OUTPUT: put(p, p->kbc_output_port, 0); break;
	case CMD_WRITE_BYTE:
	case CMD_WRITE_OUTPUT:
	case CMD_ECHO_KBD:
	case CMD_ECHO_AUX:
	case CMD_WRITE_AUX: p->kbc_command = cmd; break;
	default:
		/* Pulsing a bit that is not the reset line, A20 and all else have no effect. */
		if (cmd >= CMD_PULSE && !(cmd & PORT_NO_RESET)) {
			vpm_finish(p, VPM_RESET, "keyboard controller");
		}
		break;
	}
	drive_irq(p);
}

static void write_data(struct vpm *p, uint8_t v)
{
	uint8_t cmd = p->kbc_command;

	p->kbc_command = 0;
	p->kbc_status &= (uint8_t)~STATUS_COMMAND;
	switch (cmd) {
	case CMD_WRITE_BYTE: write_command_byte(p, v); break;
	case CMD_WRITE_OUTPUT: write_output_port(p, v); break;
	/* Without a mouse's side the echo comes from the keyboard's, which tells drivers so. */
	case CMD_ECHO_AUX:
	case CMD_ECHO_KBD: put(p, v, 0); break;
	case CMD_WRITE_AUX: put(p, RESEND, STATUS_AUX | STATUS_TIMEOUT); break;
	default:
		p->kbc_command_byte &= (uint8_t)~BYTE_KBD_OFF; /* sending enables the interface */
		put(p, RESEND, STATUS_TIMEOUT);
		break;
	}
	drive_irq(p);
}

static void access_data(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;

	if (a->write) {
		write_data(p, (uint8_t)a->value);
		return;
	}
	a->value = p->kbc_data;
	p->kbc_status &= (uint8_t)~STATUS_OUTPUT;
	drive_irq(p);
}

static void access_status(void *dev, struct bus_access *a)
{
	struct vpm *p = dev;

	if (a->write) {
		command(p, (uint8_t)a->value);
	} else {
		a->value = p->kbc_status;
	}
}

/* As firmware leaves it: tested, both interfaces off, no interrupts. */
void vpm_kbc_reset(struct vpm *p)
{
	self_test(p);
	p->kbc_status &= (uint8_t)~STATUS_OUTPUT;
	p->kbc_command = p->kbc_data = 0;
	drive_irq(p);
}

const struct vdev_ops vpm_kbc_data_ops = {.name = "i8042-data", .access = access_data};
const struct vdev_ops vpm_kbc_status_ops = {.name = "i8042-status", .access = access_status};
