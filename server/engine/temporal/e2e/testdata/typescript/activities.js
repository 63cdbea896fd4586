const { CompleteAsyncError } = require('@temporalio/activity');

// The activity stays open until the engine completes it by its id.
exports.FlowCallback = async () => { throw new CompleteAsyncError(); };
