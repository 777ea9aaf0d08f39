import hypothesis

hypothesis.settings.register_profile("machines are noisy", deadline=None, max_examples=50)
hypothesis.settings.load_profile("machines are noisy")
