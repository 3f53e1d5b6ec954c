/*
 * hv/partition_life.c on a scripted CPU: how a guest ends, and how it starts again.
 */
#include "hv/msr.h"
#include "hv/msr_index.h"
#include "test.h"
#include "tests/fake/fake_guest.h"

static const uint8_t code[] = {0xf4}; /* hlt; the fake CPU does not run it */

static struct vcpu *boot_vcpu(unsigned cpus)
{
	return fake_guest(cpus, "", code, sizeof(code))->vcpu[0];
}

TEST(triple_fault_stops_the_guest_and_tells_why)
{
	struct vcpu *v = boot_vcpu(1);

	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(v);
	vcpu_turn(v); /* takes the stop */
	vcpu_turn(v); /* finishes */
	CHECK(v->part->finished && v->part->failed);
	CHECK(strstr(fake_log, "test: crashed: triple fault of vCPU 0\n") != NULL);
}

TEST(a_crash_restarts_when_the_config_says_so)
{
	struct partition *p = fake_guest(2, "on-crash = restart", code, sizeof(code));
	struct vcpu *v = p->vcpu[0], *ap = p->vcpu[1];
	uint8_t *byte = addrspace_ptr(&p->as, gpa(0x9000), 1);

	fake_host.cpu = 1;
	vcpu_turn(ap);
	fake_host.cpu = 0;
	*byte = 0x5a;
	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(v);
	vcpu_turn(v);
	vcpu_turn(v); /* waits: the other vCPU has not left yet */
	CHECK_EQ(p->generation, 1);
	fake_host.cpu = 1;
	vcpu_turn(ap);
	vcpu_turn(ap);
	CHECK_EQ(p->stopped, 1);
	fake_host.cpu = 0;
	vcpu_turn(v);
	CHECK_EQ(p->generation, 2);
	CHECK_EQ(v->state, VCPU_RUNNING);
	CHECK_EQ(*byte, 0); /* memory is zeroed */
	fake_host.cpu = 1;
	vcpu_turn(ap);
	CHECK_EQ(ap->state, VCPU_WAIT_SIPI);
	CHECK(strstr(fake_log, "; restarting\n") != NULL);
}

/* The new generation is quick: its INIT and SIPI come before the other CPU has woken up. */
TEST(an_apic_that_the_last_generation_turned_off_hears_the_next_one)
{
	struct partition *p = fake_guest(2, "on-crash = restart", code, sizeof(code));
	struct vcpu *v = p->vcpu[0], *ap = p->vcpu[1];
	struct apic_message m = {.dest = 1, .vector = 0x9a, .delivery = APIC_INIT};

	fake_host.cpu = 1;
	vcpu_turn(ap);
	CHECK(vlapic_wrmsr(&ap->apic, MSR_APIC_BASE, 0, 0xfee00000));
	fake_host.cpu = 0;
	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(v);
	fake_host.cpu = 1;
	vcpu_turn(ap);
	vcpu_turn(ap);
	fake_host.cpu = 0;
	vcpu_turn(v);
	vcpu_turn(v);
	CHECK_EQ(p->generation, 2);
	CHECK(apic_bus_send(&p->apics, &m));
	m.delivery = APIC_SIPI;
	CHECK(apic_bus_send(&p->apics, &m));
	fake_host.cpu = 1;
	vcpu_turn(ap);
	CHECK_EQ(ap->state, VCPU_WAIT_SIPI);
	vcpu_turn(ap);
	CHECK_EQ(ap->state, VCPU_RUNNING);
	CHECK_EQ(ap->regs.cs.base, 0x9a000);
}

static void crash(struct vcpu *v)
{
	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(v);
	vcpu_turn(v); /* takes the stop */
}

TEST(a_guest_that_crashes_at_once_restarts_once_a_second_at_last)
{
	struct vcpu *v = fake_guest(1, "on-crash = restart", code, sizeof(code))->vcpu[0];
	struct partition *p = v->part;

	for (unsigned i = 1; i <= 4; i++) {
		crash(v);
		vcpu_turn(v);
		CHECK_EQ(p->generation, i + 1);
	}
	crash(v);
	fake_log_reset();
	fake_host.tsc = host_tsc_hz - 1;
	for (unsigned i = 0; i < 10; i++) {
		vcpu_turn(v);
	}
	CHECK_EQ(p->generation, 5);
	CHECK_STR(fake_log, "");
	CHECK_EQ(fake_host.timer, host_tsc_hz);
	fake_host.tsc = host_tsc_hz;
	vcpu_turn(v);
	CHECK_EQ(p->generation, 6);
	CHECK_EQ(v->state, VCPU_RUNNING);
}

/* IBRS, STIBP, SSBD of a guest that has ended would slow down whoever shares the core. */
TEST(controls_go_off_when_a_guest_stops_and_before_it_starts)
{
	struct partition *p = fake_guest(2, "on-crash = restart", code, sizeof(code));
	unsigned writes = fake_host.spec_ctrl_writes;

	CHECK_EQ(writes, 1); /* the first start of the boot vCPU */
	vcpu_turn(p->vcpu[1]);
	CHECK_EQ(fake_host.spec_ctrl_writes, 2);
	fake_host.spec_ctrl = 7;
	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(p->vcpu[0]);
	CHECK_EQ(fake_host.spec_ctrl, 7); /* an exit does not touch it */
	vcpu_turn(p->vcpu[1]);
	vcpu_turn(p->vcpu[1]);
	CHECK_EQ(fake_host.spec_ctrl, 0);
	CHECK_EQ(fake_host.spec_ctrl_writes, 3);
	fake_host.spec_ctrl = 7;
	for (unsigned i = 0; i < 4; i++) {
		vcpu_turn(p->vcpu[0]);
	}
	CHECK_EQ(atomic_load(&p->generation), 2);
	CHECK_EQ(fake_host.spec_ctrl, 0);
	fake_host.spec_ctrl = 7;
	vcpu_turn(p->vcpu[1]);
	CHECK_EQ(fake_host.spec_ctrl, 0);
	/* For good. */
	fake_host.spec_ctrl = 7;
	partition_end(p, END_POWER_OFF, "test");
	for (unsigned i = 0; i < 4; i++) {
		vcpu_turn(p->vcpu[1]);
	}
	CHECK_EQ(fake_host.spec_ctrl, 0);
	fake_host.spec_ctrl = 7;
	for (unsigned i = 0; i < 4; i++) {
		vcpu_turn(p->vcpu[0]);
	}
	CHECK(atomic_load(&p->finished));
	CHECK_EQ(fake_host.spec_ctrl, 0);
}

TEST(an_image_that_cannot_be_loaded_is_not_tried_again)
{
	struct partition *p = fake_guest(1, "on-crash = restart", code, sizeof(code));
	struct vcpu *v = p->vcpu[0];

	p->image.flat_load = p->image.flat_entry = GUEST_VGA_HOLE;
	crash(v);
	for (unsigned i = 0; i < 10; i++) {
		vcpu_turn(v);
	}
	CHECK(p->finished && p->failed);
	CHECK_EQ(p->generation, 2);
}

TEST(the_first_status_of_debug_exit_counts)
{
	struct vcpu *v = boot_vcpu(1);
	struct bus_access a = {.value = 0, .size = 1, .write = true};

	pc_port(v, 0xf4, &a);
	a.value = 3;
	pc_port(v, 0xf4, &a);
	CHECK_EQ(v->part->end_status, 0);
}

TEST(debug_exit_ends_with_its_status)
{
	struct vcpu *v = boot_vcpu(1);
	struct vm_exit *x = fake_virt_exit(EXIT_IO, 1);

	x->io.port = 0xf4;
	x->io.size = 1;
	v->regs.gpr[RAX] = 3;
	for (int i = 0; i < 3; i++) {
		vcpu_turn(v);
	}
	CHECK(v->part->finished && v->part->failed);
	CHECK_EQ(v->part->end_status, 3);
}
