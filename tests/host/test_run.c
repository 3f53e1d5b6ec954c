/*
 * The run loop on a scripted CPU: order of events, exits, requests, timers.
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

static void allow_interrupts(struct vcpu *v)
{
	fake_virt.hardware = v->regs;
	fake_virt.hardware.rflags |= RFLAGS_IF;
	v->valid = v->dirty = 0;
	vlapic_access(&v->apic, &(struct bus_access){
					.offset = 0xf0, .size = 4, .write = true, .value = 0x1ff});
}

TEST(a_guest_starts_at_its_entry_in_real_mode)
{
	struct vcpu *v = boot_vcpu(1);

	CHECK_EQ(v->state, VCPU_RUNNING);
	CHECK_EQ(v->regs.cs.base + v->regs.rip, 0x8000);
	CHECK_EQ(v->regs.cr0 & CR0_PE, 0);
	CHECK_EQ(*(uint8_t *)addrspace_ptr(&v->part->as, gpa(0x8000), 1), 0xf4);
	CHECK(strstr(fake_log, "test: started on CPU 0") != NULL);
}

TEST(one_event_per_entry_in_the_order_of_the_manual)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	vlapic_accept(&v->apic, 0x40, false);
	v->nmi_pending = 1;
	vcpu_raise(v, EXC_PF, true, 4);
	for (int i = 0; i < 4; i++) {
		vcpu_turn(v);
	}
	CHECK_EQ(fake_virt.injections, 3);
	CHECK_EQ(fake_virt.injected[0].vector, EXC_PF);
	CHECK_EQ(fake_virt.injected[0].error, 4);
	CHECK_EQ(fake_virt.injected[1].type, EVENT_NMI);
	CHECK_EQ(fake_virt.injected[2].vector, 0x40);
	CHECK_EQ(fake_virt.injected[2].type, EVENT_INTR);
}

TEST(an_interrupt_waits_for_if_and_for_the_shadow)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	fake_virt.hardware.rflags &= ~(uint64_t)RFLAGS_IF;
	vlapic_accept(&v->apic, 0x40, false);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 0);
	CHECK(fake_virt.window[WINDOW_INTR]);
	fake_virt.hardware.rflags |= RFLAGS_IF;
	fake_virt.hardware.shadow = SHADOW_STI;
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 0);
	fake_virt.hardware.shadow = 0;
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 1);
	CHECK(!fake_virt.window[WINDOW_INTR]);
}

TEST(a_second_vector_asks_for_a_window)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	vlapic_accept(&v->apic, 0x40, false);
	vcpu_turn(v);
	vlapic_accept(&v->apic, 0x51, false);
	vlapic_accept(&v->apic, 0x62, false);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 2);
	CHECK_EQ(fake_virt.injected[1].vector, 0x62);
	CHECK(!fake_virt.window[WINDOW_INTR]); /* 0x51 is below what is in service */
}

TEST(tpr_holds_back_and_its_fall_exits)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	v->cr8 = 5;
	vlapic_set_tpr(&v->apic, 0x50);
	vlapic_accept(&v->apic, 0x4f, false);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 0);
	CHECK_EQ(fake_virt.tpr_class, 4);
}

TEST(an_event_cut_short_is_delivered_again)
{
	struct vcpu *v = boot_vcpu(1);
	struct vm_exit *x = fake_virt_exit(EXIT_INTR, 0);

	allow_interrupts(v);
	x->interrupted = (struct event){
		.valid = true, .type = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2};
	vcpu_turn(v);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 1);
	CHECK_EQ(fake_virt.injected[0].vector, 0x80);
	CHECK_EQ(fake_virt.injected[0].insn_len, 2);
}

TEST(double_and_triple_faults)
{
	struct vcpu *v = boot_vcpu(1);

	vcpu_raise(v, EXC_PF, true, 2);
	vcpu_raise(v, EXC_GP, true, 0);
	CHECK_EQ(v->pending.vector, EXC_DF);
	CHECK(v->pending.has_error);
	vcpu_raise(v, EXC_GP, true, 0);
	CHECK(v->triple_fault);
	v->pending.valid = v->triple_fault = false;
	vcpu_raise(v, EXC_DB, false, 0);
	vcpu_raise(v, EXC_GP, true, 0); /* benign first: no double fault */
	CHECK_EQ(v->pending.vector, EXC_GP);
}

TEST(skip_clears_the_shadow_and_steps)
{
	struct vcpu *v = boot_vcpu(1);

	v->regs.rip = 0x1000;
	v->regs.shadow = SHADOW_STI | SHADOW_NMI;
	v->regs.rflags = RFLAGS_1 | RFLAGS_TF;
	v->valid = GROUP_ALL;
	vcpu_skip(v, 3);
	CHECK_EQ(v->regs.rip, 0x1003);
	CHECK_EQ(v->regs.shadow, SHADOW_NMI);
	CHECK(v->pending.valid && v->pending.vector == EXC_DB);
}

TEST(skip_ends_what_rf_was_set_for)
{
	struct vcpu *v = boot_vcpu(1);

	v->regs.rflags = RFLAGS_1 | RFLAGS_RF;
	v->valid = GROUP_ALL;
	v->dirty = 0;
	vcpu_skip(v, 2);
	CHECK_EQ(v->regs.rflags, RFLAGS_1);
	CHECK(v->dirty & GROUP_RFLAGS);
	CHECK(!v->pending.valid);
}

TEST(skip_wraps_at_4_gib_outside_64_bit_code)
{
	struct vcpu *v = boot_vcpu(1);

	v->regs.rip = 0xffffffff;
	vcpu_skip(v, 2);
	CHECK_EQ(v->regs.rip, 1);
	v->regs.rip = 0xffffffff;
	v->regs.efer = EFER_LMA;
	v->regs.cs.ar |= SEG_L;
	vcpu_skip(v, 2);
	CHECK_EQ(v->regs.rip, 0x100000001);
}

TEST(in_merges_into_rax_by_size)
{
	struct vcpu *v = boot_vcpu(1);

	for (unsigned size = 1; size <= 4; size *= 2) {
		struct vm_exit *x = fake_virt_exit(EXIT_IO, 1);

		x->io.port = 0x1234; /* nobody: ones */
		x->io.size = (uint8_t)size;
		x->io.in = true;
		v->regs.gpr[RAX] = 0x1122334455667788;
		fake_virt.hardware.gpr[RAX] = v->regs.gpr[RAX];
		vcpu_turn(v);
		CHECK_EQ(v->regs.gpr[RAX], size == 1   ? 0x11223344556677ff
					   : size == 2 ? 0x112233445566ffff
						       : 0xffffffff);
	}
}

TEST(unknown_msr_is_gp_and_logged_once)
{
	struct vcpu *v = boot_vcpu(1);

	v->regs.gpr[RCX] = 0x12345;
	fake_virt_exit(EXIT_RDMSR, 2);
	fake_virt_exit(EXIT_RDMSR, 2);
	vcpu_turn(v);
	CHECK(v->pending.valid && v->pending.vector == EXC_GP);
	fake_log_reset();
	vcpu_turn(v);
	CHECK_STR(fake_log, "");
}

TEST(hlt_waits_and_an_interrupt_wakes)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	fake_virt_exit(EXIT_HLT, 1);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_HALTED);
	vcpu_turn(v);
	CHECK_EQ(fake_host.waits, 1);
	vlapic_accept(&v->apic, 0x40, false);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_RUNNING);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injected[0].vector, 0x40);
}

TEST(hlt_with_interrupts_off_is_woken_by_nmi_only)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	fake_virt.hardware.rflags &= ~(uint64_t)RFLAGS_IF;
	fake_virt_exit(EXIT_HLT, 1);
	vcpu_turn(v);
	vlapic_accept(&v->apic, 0x40, false);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_HALTED);
	vcpu_post(v, REQUEST_NMI);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_RUNNING);
}

TEST(a_blocked_nmi_does_not_end_hlt)
{
	struct vcpu *v = boot_vcpu(1);

	allow_interrupts(v);
	fake_virt.hardware.rflags &= ~(uint64_t)RFLAGS_IF;
	fake_virt.hardware.shadow = SHADOW_NMI; /* HLT in the handler of an NMI */
	fake_virt_exit(EXIT_HLT, 1);
	vcpu_turn(v);
	vcpu_post(v, REQUEST_NMI);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_HALTED);
	fake_virt.hardware.rflags |= RFLAGS_IF;
	v->valid = 0;
	vlapic_accept(&v->apic, 0x40, false);
	vcpu_turn(v);
	CHECK_EQ(v->state, VCPU_RUNNING);
}

static struct vcpu *late_target;

static void post_late(struct vcpu *v)
{
	(void)v;
	vcpu_post(late_target, REQUEST_NMI);
}

TEST(a_request_posted_while_the_guest_runs_is_not_lost)
{
	struct vcpu *v = boot_vcpu(1);

	late_target = v;
	fake_virt.on_run = post_late;
	vcpu_turn(v);
	fake_virt.on_run = NULL;
	CHECK(v->request & REQUEST_NMI);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 1);
}

TEST(sipi_starts_a_waiting_vcpu_once)
{
	struct vcpu *v = boot_vcpu(2), *ap = v->part->vcpu[1];

	fake_host.cpu = 1;
	vcpu_turn(ap); /* sees the generation */
	CHECK_EQ(ap->state, VCPU_WAIT_SIPI);
	fake_host.cpu = 0;
	v->part->apics.init(v->part, 1);
	CHECK_EQ(fake_host.urgent_kicks[1], 1);
	v->part->apics.sipi(v->part, 1, 0x9a);
	fake_host.cpu = 1;
	vcpu_turn(ap);
	CHECK_EQ(ap->state, VCPU_RUNNING);
	CHECK_EQ(ap->regs.cs.selector, 0x9a00);
	CHECK_EQ(ap->regs.cs.base, 0x9a000);
	CHECK_EQ(ap->regs.rip, 0);
	ap->regs.rip = 0x55;
	v->part->apics.sipi(v->part, 1, 0x10); /* the second SIPI is ignored */
	vcpu_turn(ap);
	CHECK_EQ(ap->regs.cs.selector, 0x9a00);
}

TEST(init_keeps_what_the_manual_says)
{
	struct vcpu *v = boot_vcpu(1);

	v->regs.pat = 0x0606060606060606;
	v->regs.sysenter_eip = 0x1234;
	v->regs.dr6 = 0xffff0ff1;
	v->regs.cr0 = CR0_PE | CR0_PG;
	v->regs.gpr[RBX] = 7;
	vcpu_touch(v, GROUP_ALL);
	vcpu_reset(v, true);
	CHECK_EQ(v->regs.pat, 0x0606060606060606);
	CHECK_EQ(v->regs.sysenter_eip, 0x1234);
	CHECK_EQ(v->regs.dr6, 0xffff0ff0);
	CHECK_EQ(v->regs.cr0, CR0_ET);
	CHECK_EQ(v->regs.gpr[RBX], 0);
	CHECK_EQ(v->regs.rip, 0xfff0);
	CHECK_EQ(v->regs.cs.base, 0xffff0000);
	vcpu_reset(v, false);
	CHECK_EQ(v->regs.pat, 0x0007040600070406);
	CHECK_EQ(v->regs.sysenter_eip, 0);
	CHECK_EQ(v->regs.cr0, CR0_CD | CR0_NW | CR0_ET);
}

TEST(the_deadline_timer_is_set_only_when_it_changes)
{
	struct vcpu *v = boot_vcpu(1);
	uint64_t value = 5000;

	vcpu_turn(v);
	fake_host.timer = 1;
	vcpu_turn(v);
	CHECK_EQ(fake_host.timer, 1); /* untouched */
	vlapic_access(&v->apic, &(struct bus_access){
					.offset = 0xf0, .size = 4, .write = true, .value = 0x1ff});
	vlapic_access(&v->apic,
		      &(struct bus_access){
			      .offset = 0x320, .size = 4, .write = true, .value = 0x40 | 2 << 17});
	CHECK(msr_write(v, MSR_TSC_DEADLINE, value));
	vcpu_turn(v);
	CHECK_EQ(fake_host.timer, 5000);
	fake_host.tsc = 5001;
	vcpu_post(v, REQUEST_TIMER);
	allow_interrupts(v);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injected[0].vector, 0x40);
	CHECK_EQ(fake_host.timer, 5000); /* it has fired and there is nothing to wait for */
}

TEST(a_device_that_moves_its_deadline_moves_the_timer)
{
	struct vcpu *v = boot_vcpu(1);
	struct bus_access a = {.size = 1, .write = true, .value = 0x34}; /* counter 0, rate */

	vcpu_turn(v);
	fake_host.timer = 1;
	CHECK(pc_port(v, 0x43, &a));
	for (unsigned i = 0; i < 2; i++) {
		a.value = 0x80;
		CHECK(pc_port(v, 0x40, &a));
	}
	vcpu_turn(v);
	CHECK(fake_host.timer != 1);
	CHECK_EQ(fake_host.timer, v->part->pc.deadline);
	fake_host.timer = 1;
	vcpu_turn(v);
	CHECK_EQ(fake_host.timer, 1);
}

static void write_cr8(struct vcpu *v)
{
	vcpu_take_cr8(v, 7);
}

TEST(cr8_and_the_register_are_one)
{
	struct vcpu *v = boot_vcpu(1);
	struct bus_access a = {.offset = 0x80, .size = 4, .write = true, .value = 0x53};

	vcpu_turn(v);
	vlapic_access(&v->apic, &a);
	fake_virt.written = 0;
	vcpu_turn(v);
	CHECK_EQ(v->cr8, 5);
	CHECK(fake_virt.written & GROUP_CR8);
	vlapic_access(&v->apic, &a);
	fake_virt.written = 0;
	vcpu_turn(v);
	CHECK(!(fake_virt.written & GROUP_CR8)); /* it has it already */
	CHECK_EQ(v->apic.tpr, 0x53);
	fake_virt.on_run = write_cr8;
	vcpu_turn(v);
	fake_virt.on_run = NULL;
	CHECK_EQ(v->apic.tpr, 0x70);
	vlapic_reset(&v->apic, true);
	fake_virt.written = 0;
	vcpu_turn(v);
	CHECK_EQ(v->cr8, 0);
	CHECK(fake_virt.written & GROUP_CR8);
}

TEST(an_exception_behind_a_double_fault_ends_the_guest)
{
	struct vcpu *v = boot_vcpu(1);

	vcpu_raise(v, EXC_DF, true, 0);
	vcpu_raise(v, EXC_PF, true, 0);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.injections, 0);
	CHECK_EQ(v->part->end, END_TRIPLE_FAULT);
	vcpu_turn(v); /* takes the stop */
	vcpu_turn(v); /* finishes */
	CHECK(strstr(fake_log, "test: crashed: triple fault of vCPU 0\n") != NULL);
}

TEST(a_tsc_offset_is_written_once)
{
	struct vcpu *v = boot_vcpu(1);

	vcpu_turn(v);
	CHECK(msr_write(v, MSR_TSC_ADJUST, 1000));
	fake_virt.written = 0;
	vcpu_turn(v);
	CHECK(fake_virt.written & GROUP_TSC_OFFSET);
	fake_virt.written = 0;
	vcpu_turn(v);
	CHECK(!(fake_virt.written & GROUP_TSC_OFFSET));
}

TEST(groups_are_fetched_on_demand)
{
	struct vcpu *v = boot_vcpu(1);

	fake_virt_exit(EXIT_CPUID, 2);
	vcpu_turn(v);
	fake_virt.fetched = fake_virt.written = 0;
	fake_virt_exit(EXIT_CPUID, 2);
	v->regs.gpr[RAX] = 0;
	vcpu_turn(v);
	CHECK_EQ(fake_virt.fetched & (GROUP_CR | GROUP_SEG | GROUP_CS_SS | GROUP_SYSENTER), 0);
	vcpu_turn(v);
	CHECK_EQ(fake_virt.written, GROUP_RIP);
}
