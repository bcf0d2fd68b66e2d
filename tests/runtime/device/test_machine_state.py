"""Reading a machine's state from files as the kernel writes them, and from nvidia-smi."""

import pytest

from edge_ad_runtime.device.machine_state import GPUState, read_machine_state

JETSON = {
    "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2201600\n",
    "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "2201600\n",
    "devices/system/cpu/cpu10/cpufreq/scaling_cur_freq": "729600\n",
    "devices/system/cpu/cpufreq/boost": "1\n",
    "devices/system/cpu/cpuidle/current_driver": "none\n",
    "class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "class/devfreq/17000000.gpu/max_freq": "1300500000\n",
    "class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "class/thermal/thermal_zone0/temp": "51218\n",
    "class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "class/thermal/thermal_zone1/temp/is-off": "a folder cannot be read, as a sleeping sensor\n",
    "class/thermal/thermal_zone2/type": "cpu-thermal\n",
    "class/thermal/thermal_zone2/temp": "-1500\n",
    "class/thermal/cooling_device0/type": "pwm-fan\n",
    "class/hwmon/hwmon0/name": "ina238\n",
    "class/hwmon/hwmon0/power1_input": "14250000\n",
    "class/hwmon/hwmon1/name": "ina3221\n",
    "class/hwmon/hwmon1/in1_label": "VDD_GPU_SOC\n",
    "class/hwmon/hwmon1/in1_input": "19000\n",
    "class/hwmon/hwmon1/curr1_input": "200\n",
    "class/hwmon/hwmon1/in2_label": "VDD_CPU_CV\n",
    "class/hwmon/hwmon1/in2_input": "19000\n",
    "class/hwmon/hwmon1/curr2_input": "50\n",
    "class/hwmon/hwmon1/in7_label": "sum of shunt voltages\n",
    "class/hwmon/hwmon1/in7_input": "12\n",
    "class/hwmon/hwmon2/name": "pwmfan\n",
}


@pytest.fixture
def no_card(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "no programs"))


@pytest.fixture
def jetson(tmp_path, no_card):
    for name, text in JETSON.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "sys"


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """Put a program of that name on the path."""

    def install(script: str) -> None:
        file = tmp_path / "bin/nvidia-smi"
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(file.parent))

    return install


def test_clocks_are_megahertz_in_the_order_of_the_cores(jetson):
    state = read_machine_state(jetson)
    assert list(state.cpu_mhz.items()) == [("cpu0", 1510.4), ("cpu2", 2201.6), ("cpu10", 729.6)]
    assert state.cpu_max_mhz == {"cpu0": 2201.6}
    assert state.cpu_governors == {"cpu0": "schedutil"}
    assert (state.device_mhz, state.device_max_mhz) == (
        {"17000000.gpu": 306.0}, {"17000000.gpu": 1300.5},
    )  # fmt: skip


def test_temperatures_are_celsius_by_zone_and_a_sensor_that_is_off_is_left_out(jetson):
    temperatures = read_machine_state(jetson).temperatures_celsius
    assert temperatures == {"cpu-thermal": 51.218, "cpu-thermal (thermal_zone2)": -1.5}


def test_power_is_watts_by_rail(jetson):
    power = read_machine_state(jetson).power_watts
    assert power == pytest.approx({"ina238 power1": 14.25, "VDD_GPU_SOC": 3.8, "VDD_CPU_CV": 0.95})


def test_one_line_tells_the_clocks_the_hottest_zone_and_the_power(jetson):
    assert read_machine_state(jetson).describe() == (
        "cores at 730 to 2202 MHz, 17000000.gpu at 306 MHz, cpu-thermal 51 °C, "
        "ina238 power1 14.2 W, VDD_GPU_SOC 3.8 W, VDD_CPU_CV 0.9 W"
    )


def test_a_machine_that_shows_nothing_is_no_error(tmp_path, no_card):
    state = read_machine_state(tmp_path)
    assert state.shown() == {}
    assert state.describe() == ""


def test_cards_say_why_they_are_slow(nvidia_smi, tmp_path):
    nvidia_smi(
        "echo 'NVIDIA RTX A2000, 1200, 2100, 83, 69.87, 0x0000000000000024'\n"
        "echo 'Orin (nvgpu), [N/A], [N/A], [N/A], [Not Supported], [N/A]'"
    )
    state = read_machine_state(tmp_path)
    assert state.gpus == (
        GPUState(
            name="NVIDIA RTX A2000", clock_mhz=1200, max_clock_mhz=2100, temperature_celsius=83,
            power_watts=69.87, slowed_by=("power cap", "software thermal slowdown"),
        ),
        GPUState(
            name="Orin (nvgpu)", clock_mhz=None, max_clock_mhz=None, temperature_celsius=None,
            power_watts=None, slowed_by=(),
        ),
    )  # fmt: skip
    assert state.describe() == (
        "NVIDIA RTX A2000 1200 MHz 83 °C 70 W (slowed by power cap, software thermal slowdown), "
        "Orin (nvgpu)"
    )


@pytest.mark.parametrize(
    "script",
    [
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9",
        "echo 'No devices were found'",
        "kill -9 $$",
    ],
)
def test_a_driver_that_does_not_answer_is_no_error(nvidia_smi, script, tmp_path):
    nvidia_smi(script)
    assert read_machine_state(tmp_path).gpus == ()
